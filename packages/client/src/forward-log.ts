import type { Log } from '@argyle/host';
import { endpointLabel } from './label.ts';
import type { Forward } from './udp-options.ts';

/** As it is written on a command line: `udp:127.0.0.1:5300=name:53`. */
export function forwardLabel({ protocol, listen, target }: Forward): string {
  const { host: address, port } = target;
  return `${protocol}:${endpointLabel(listen)}=${endpointLabel({ address, port })}`;
}

/** RFC 1928 §6, for who reads a log. */
const REFUSALS: Readonly<Record<number, string>> = {
  0x02: "the nodes' rules do not allow the target",
  0x03: 'the network of the target cannot be reached',
  0x04: 'the target cannot be reached, or its name does not resolve',
  0x05: 'the target refuses',
  0x07: 'the nodes do not serve this: check `socks.udp` of theirs',
};

/** Says what is wrong with a forward: once, until it is something else. */
export class ForwardLog {
  readonly #log: Log;
  readonly #forward: string;
  #told = '';

  constructor(log: Log, forward: Forward) {
    this.#log = log;
    this.#forward = forwardLabel(forward);
  }

  /** A reply's code, or what the client found out by itself. */
  refused(why: number | string): void {
    const cause =
      typeof why === 'string' ? why : (REFUSALS[why] ?? `a node refuses it (code ${why})`);
    if (cause === this.#told) return;
    this.#told = cause;
    const fields = { event: 'forward-refused', forward: this.#forward, cause };
    this.#log.warn(fields, `${this.#forward} leads nowhere: ${cause}`);
  }

  granted(): void {
    if (this.#told === '') return;
    this.#told = '';
    const fields = { event: 'forward-granted', forward: this.#forward };
    this.#log.info(fields, `${this.#forward} leads to its target again`);
  }
}
