import { stringify } from 'yaml';

/** The effective configuration on standard output, what should not stay so on standard error. */
export function printConfig(config: {
  readonly effective: unknown;
  readonly warnings: readonly string[];
}): void {
  for (const warning of config.warnings) process.stderr.write(`warning: ${warning}\n`);
  process.stdout.write(stringify(config.effective, { lineWidth: 100 }));
}
