import type { ClientCounters, MoveReason } from '@argyle/secure-udp';
import type { LinkEnd } from './control-link.ts';

/**
 * Why a datagram went no further. Of an application: `foreign`: it came from another address or
 * port than the association is for; `malformed`: it has no SOCKS header; `too large`: for the path;
 * `excess`: more associations than the limit; `target`: the nodes' rules refuse the target, or no
 * node answered; `waiting`: more waited for an answer than is kept, or for too long; `full`: too
 * much waits on the TLS connection. Of a node: `no record`: it is none of secure UDP; `no header`:
 * what it brought has no SOCKS header. Either way: `unsent`: the system did not take it.
 */
export type UdpRefusal =
  | 'foreign'
  | 'malformed'
  | 'too large'
  | 'excess'
  | 'target'
  | 'waiting'
  | 'full'
  | 'no record'
  | 'no header'
  | 'unsent';

/** What associations have counted since the client started. */
export class UdpCounters {
  opened = 0;
  readonly ended: Record<LinkEnd, number> = { closed: 0, deleted: 0, replay: 0, gone: 0, grace: 0 };
  /** Another node granted a new control connection. */
  adoptions = 0;
  readonly datagrams = { toCluster: 0, fromCluster: 0 };
  /** Those of them that went over the TLS connection. */
  readonly overTls = { toCluster: 0, fromCluster: 0 };
  readonly moves: Record<MoveReason, number> = {
    silent: 0,
    refused: 0,
    left: 0,
    taken: 0,
    removed: 0,
  };
  /** How often an association found that no node answers over UDP. */
  unreachable = 0;
  readonly refused: Record<UdpRefusal, number> = {
    foreign: 0,
    malformed: 0,
    'too large': 0,
    excess: 0,
    target: 0,
    waiting: 0,
    full: 0,
    'no record': 0,
    'no header': 0,
    unsent: 0,
  };
  /** Of associations that are over. */
  readonly past = new RecordTotals();

  refuse(reason: UdpRefusal, count = 1): void {
    this.refused[reason] += count;
  }
}

/** The sum of what the machines of several associations have counted. */
export class RecordTotals {
  sent = 0;
  opened = 0;
  resentMissing = 0;
  resentUnsure = 0;
  givenUp = 0;
  readonly dropped = new Map<string, number>();

  add(counters: ClientCounters | RecordTotals): void {
    this.sent += counters.sent;
    this.opened += counters.opened;
    this.resentMissing += counters.resentMissing;
    this.resentUnsure += counters.resentUnsure;
    this.givenUp += counters.givenUp;
    for (const [reason, count] of counters.dropped) {
      this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + count);
    }
  }
}
