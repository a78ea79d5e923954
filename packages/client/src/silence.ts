import type { Cancel, Host } from '@argyle/host';
import type { NodeChoice } from './node-choice.ts';

export interface SilenceHandlers {
  /** Nothing was heard of the node for its first patience: a trial will tell. */
  doubtful(): void;
  /** Nor for its second; once. */
  silent(): void;
}

/**
 * Listens for signs of life of a node while a request waits there; the answer ends it. A slow
 * answer may be the destination's fault, so it is the node that is asked: its connections bring
 * signs, or the trial of a suspect does.
 */
export function whenSilent(
  host: Host,
  choice: Pick<NodeChoice, 'heardAt' | 'patienceMs'>,
  node: number,
  handlers: SilenceHandlers,
): Cancel {
  let patienceMs = choice.patienceMs(node);
  const wait = (check: (since: number) => void) => {
    const since = host.now();
    return host.after(patienceMs, () => check(since));
  };
  const look = (since: number) => {
    if (choice.heardAt(node) >= since) {
      patienceMs *= 2;
      cancel = wait(look);
      return;
    }
    handlers.doubtful();
    cancel = wait((since) => {
      if (choice.heardAt(node) >= since) look(since);
      else handlers.silent();
    });
  };
  let cancel = wait(look);
  return () => cancel();
}
