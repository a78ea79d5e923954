import { CliError } from '../exit-code.ts';
import { Home, nodeName } from '../home.ts';
import { LocalProcess } from '../local/processes.ts';

/** Longer than a node drains by default. */
const STOPPED_WITHIN_MS = 20_000;
const KILLED_WITHIN_MS = 5_000;

/**
 * The client first, so that nothing new comes; then node after node, so that each says good-bye.
 */
export async function down(options: { readonly home: string }): Promise<void> {
  const home = new Home(options.home);
  const names = ['client', ...home.nodes().map(nodeName)];
  const running = names
    .map((name) => new LocalProcess(home, name))
    .filter((one) => one.pid() !== undefined);
  if (running.length === 0) process.stdout.write(`nothing runs in ${home.path}\n`);
  for (const one of running) process.stdout.write(`${one.name} ${await stop(one)}\n`);
}

async function stop(one: LocalProcess): Promise<string> {
  if (await one.signal('SIGTERM', STOPPED_WITHIN_MS)) return 'stopped';
  if (await one.signal('SIGKILL', KILLED_WITHIN_MS)) return 'killed: it did not stop by itself';
  throw new CliError('failed', `${one.name} (process ${one.pid()}) is still there`);
}
