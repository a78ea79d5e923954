import { CommanderError, type Command } from 'commander';
import { ConfigError } from './config/problem.ts';
import { ExitCode } from './exit-code.ts';

/** Runs a command line and answers its exit code. What goes wrong is told on standard error. */
export async function runProgram(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync([...argv]);
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? ExitCode.ok : ExitCode.configuration;
    process.stderr.write(`${told(error)}\n`);
    return isConfiguration(error) ? ExitCode.configuration : ExitCode.failure;
  }
}

/** What the parts refuse in options that the schema let pass. */
const CONFIGURATION_CODES = ['configuration', 'usage', 'bad-network', 'bad-user', 'bad-tls'];

function isConfiguration(error: unknown): boolean {
  if (!(error instanceof Error) || !isOfTheWorld(error) || !('code' in error)) return false;
  return CONFIGURATION_CODES.some((code) => code === error.code);
}

/**
 * Errors of the world are told by their message; others are a bug of ours and carry their stack.
 */
function told(error: unknown): string {
  if (!(error instanceof Error)) return `argyle: ${String(error)}`;
  if (!isOfTheWorld(error)) return `argyle: ${error.stack ?? error.message}`;
  if (error instanceof ConfigError) return error.message;
  const cause = error.cause instanceof Error ? error.cause.message : '';
  const more = cause === '' || error.message.includes(cause) ? '' : ` (${cause})`;
  return `argyle: ${error.message}${more}`;
}

const WORLD = ['CliError', 'ConfigError', 'AdminError', 'NodeError', 'ClientError', 'ReplicaError'];

function isOfTheWorld(error: Error): boolean {
  return WORLD.includes(error.name);
}
