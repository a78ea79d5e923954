import type { Need } from '../benchmark.ts';
import type { RunningProcess } from '../processes.ts';
import type { Site } from '../site.ts';

/** A program of others that is measured beside Argyle, in the configuration its manual suggests. */
export interface Peer<Opened extends AsyncDisposable> {
  readonly needs: readonly Need[];
  readonly open: (site: Site) => Promise<Opened>;
}

export const LOOPBACK = '127.0.0.1';

/** Starts it and waits until it accepts connections. */
export async function listening(
  site: Site,
  stack: AsyncDisposableStack,
  options: {
    readonly folder: string;
    readonly name: string;
    readonly command: string;
    readonly args: readonly string[];
    readonly port: number;
    readonly quiet?: boolean;
  },
): Promise<RunningProcess> {
  const { folder, port, ...process_ } = options;
  const started = stack.use(await site.start(folder, process_));
  await started.untilListening(port);
  return started;
}
