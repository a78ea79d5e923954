import type { Endpoint } from '@argyle/host';
import { type Peer, type SegmentKindName, waysOf } from '@argyle/multicast';
import type { FinderFailures } from './finders.ts';
import { stateOfNote } from './note.ts';
import type { Replica } from './replica.ts';
import type { GroupCounters, MemberStatus, ReplicaStatus } from './status.ts';

export interface SnapshotContext {
  readonly now: number;
  readonly name: string;
  readonly own: Endpoint | undefined;
  readonly viewChanges: number;
  readonly unsent: number;
  readonly unfound: FinderFailures;
  readonly writes: Readonly<Record<'replicated' | 'timeout' | 'restarted', number>>;
}

/** A replica as operators see it. */
export function replicaStatus(replica: Replica, context: SnapshotContext): ReplicaStatus {
  const { group, cache } = replica;
  const { now, own } = context;
  return {
    self: {
      name: context.name,
      incarnation: group.incarnation,
      state: replica.state,
      reason: replica.reason,
      endpoint: own ? `${own.address}:${own.port}` : '',
      uptimeMs: Math.round(group.uptimeMs),
      sent: group.outbound.sequence,
      acknowledged: group.outbound.acknowledged,
      keys: group.keyring.ids,
    },
    members: group.members.map((peer) => memberStatus(replica, peer, now)),
    alone: replica.state === 'ready' && group.members.length === 0,
    viewChanges: context.viewChanges,
    cache: {
      records: cache.records,
      tombstones: cache.tombstones,
      bytes: cache.bytes,
      capacityBytes: cache.capacityBytes,
      digest: Buffer.from(cache.digest()).toString('hex'),
    },
    counters: countersOf(replica, context),
  };
}

function memberStatus(replica: Replica, peer: Peer, now: number): MemberStatus {
  const { outbound } = replica.group;
  const receiver = outbound.receiver(peer.incarnation);
  const applied = receiver?.applied ?? 0;
  return {
    name: peer.beat?.name ?? '',
    incarnation: peer.incarnation,
    state: stateOfNote(peer.beat?.note) ?? 'joining',
    endpoint: `${peer.endpoint.address}:${peer.endpoint.port}`,
    heardMsAgo: Math.max(0, Math.round(now - peer.heardAt)),
    clockSkewMs: Math.round(peer.skewMs),
    heardBy: waysOf(peer.hearing.heard(now)),
    hearsUsBy: waysOf(peer.hearsUs),
    reachedBy: replica.group.wayTo(peer),
    received: receiver?.received ?? 0,
    applied,
    lag: outbound.sequence - applied,
    keys: peer.beat?.keys ?? [],
  };
}

function countersOf(replica: Replica, context: SnapshotContext): GroupCounters {
  const { counters, links, listening, outbound } = replica.group;
  const kinds = Object.keys(counters.sent) as SegmentKindName[];
  return {
    segments: kinds.flatMap((kind) => [
      { direction: 'sent', kind, count: counters.sent[kind] },
      { direction: 'received', kind, count: counters.received[kind] },
    ]),
    dropped: [...counters.dropped].map(([reason, count]) => ({ reason, count })),
    links: links.size,
    linksRefused: [...links.refused].map(([reason, count]) => ({ reason, count })),
    rejoins: listening.rejoins,
    unsent: context.unsent,
    unfound: [
      { way: 'dns', count: context.unfound.dns },
      { way: 'mdns', count: context.unfound.mdns },
    ],
    repairs: outbound.repairs,
    passedOn: counters.passedOn,
    ownLost: outbound.flow.selfReceipt.lost,
    gates: [...outbound.flow.boundMs].map(([gate, ms]) => ({ gate, seconds: ms / 1_000 })),
    exchanges: replica.exchanges,
    unstored: replica.unstored,
    writes: [
      { outcome: 'replicated', count: context.writes.replicated },
      { outcome: 'timeout', count: context.writes.timeout },
      { outcome: 'restarted', count: context.writes.restarted },
    ],
  };
}
