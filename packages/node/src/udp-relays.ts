import type { Host } from '@argyle/host';
import type { UdpOptions } from './options.ts';
import type { UdpCounters } from './udp-counters.ts';
import { UdpJudge, type UdpJudgeOptions, type UdpTarget, type UdpUser } from './udp-judge.ts';
import { UdpRelay, type RelayRequest, type UdpRelayContext } from './udp-relay.ts';

export interface UdpRelaysOptions
  extends UdpJudgeOptions, Pick<UdpOptions, 'filtering' | 'ports' | 'destinations'> {
  readonly counters: UdpCounters;
}

/** A name or an address that has no place in a SOCKS UDP header. */
const HOST_BYTES_MAX = 255;

/** The relays of a node, one for each association that sends from here. */
export class UdpRelays {
  readonly #judge: UdpJudge;
  readonly #context: UdpRelayContext;
  readonly #open = new Set<UdpRelay>();

  constructor(host: Host, options: UdpRelaysOptions) {
    const judge = new UdpJudge(host, options);
    this.#judge = judge;
    const { counters } = options;
    this.#context = { host, judge, counters, options, closed: (relay) => this.#open.delete(relay) };
  }

  get size(): number {
    return this.#open.size;
  }

  /** Sends nothing and takes no port before its first datagram. To be closed. */
  open(request: RelayRequest): UdpRelay {
    const relay = new UdpRelay(this.#context, request);
    this.#open.add(relay);
    return relay;
  }

  /** Whether there is such a target, and it is allowed. Never rejects. */
  async judge(target: UdpTarget, who: UdpUser & { readonly left: AbortSignal }): Promise<boolean> {
    if (Buffer.byteLength(target.host) > HOST_BYTES_MAX || this.#judge.busy) return false;
    return typeof (await this.#judge.find(who, target, who.left)) !== 'string';
  }

  close(): void {
    for (const relay of this.#open) relay.close();
  }
}
