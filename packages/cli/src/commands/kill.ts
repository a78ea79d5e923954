import { wholeNumber } from '../arguments.ts';
import { CliError } from '../exit-code.ts';
import { Home, NODES_MAX, nodeName } from '../home.ts';
import { LocalProcess } from '../local/processes.ts';

/** The kernel may take a moment to take a process apart. */
const GONE_WITHIN_MS = 5_000;

export async function kill(index: string, options: { readonly home: string }): Promise<void> {
  const name = nodeName(wholeNumber("the node's number", index, 1, NODES_MAX));
  const victim = new LocalProcess(new Home(options.home), name);
  const pid = victim.pid();
  if (pid === undefined) throw new CliError('missing', `${name} does not run`);
  if (!(await victim.signal('SIGKILL', GONE_WITHIN_MS)))
    throw new CliError('failed', `${name} (process ${pid}) is still there`);
  process.stdout.write(`${name} killed (process ${pid})\n`);
}
