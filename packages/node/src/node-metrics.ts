import type { MetricFamily, MetricValue } from '@argyle/host';
import type { ReplicaStatus } from '@argyle/replica';
import type { Binder } from './binder.ts';
import type { ConnectionTable } from './connection-table.ts';
import { gauge } from './counter.ts';
import type { NodeCounters } from './node-counters.ts';
import type { Tunnels } from './tunnels.ts';

export interface Measured {
  readonly counters: NodeCounters;
  readonly connections: ConnectionTable;
  readonly tunnels: Tunnels;
  readonly binder: Binder;
  readonly status: ReplicaStatus;
}

/** Everything that a node measures, as the endpoint shows it. */
export function nodeMetrics({
  counters,
  connections,
  tunnels,
  binder,
  status,
}: Measured): readonly MetricFamily[] {
  const { forward, backward } = tunnels.bytes;
  const plain = [...connections.open].filter(({ lineage }) => !lineage).length;
  return [
    ...counters.families(),
    gauge(
      'connections',
      'TCP connections from clients, in their handshake or after.',
      connections.seated,
    ),
    gauge(
      'connections_secure',
      'Connections whose TLS handshake has ended.',
      connections.open.size - plain,
    ),
    gauge('connections_plain', 'Connections that speak SOCKS5 without TLS.', plain),
    gauge('binds', 'Ports that wait for their peers (BIND).', binder.waiting.size),
    gauge('tunnels', 'Open tunnels.', tunnels.open.size),
    counter('tunnel_bytes_total', 'Bytes relayed, by direction.', [
      { labels: { direction: 'to-destination' }, value: forward },
      { labels: { direction: 'to-client' }, value: backward },
    ]),
    ...groupMetrics(status),
    ...cacheMetrics(status),
  ];
}

function groupMetrics({ self, members, counters, viewChanges }: ReplicaStatus) {
  const { segments, dropped, links, linksRefused, rejoins, unsent, unfound } = counters;
  const { repairs, passedOn, ownLost, gates, exchanges, writes, unstored } = counters;
  return [
    gauge('group_members', 'Members of the view, this one included.', members.length + 1),
    gauge('group_ready', '1 when this member has synchronised.', self.state === 'ready' ? 1 : 0),
    gauge(
      'group_lag',
      'Own segments that the slowest member has not applied.',
      Math.max(0, ...members.map(({ lag }) => lag)),
    ),
    {
      name: 'group_key',
      help: '1 for each key in the ring, by its id: one seals, all open.',
      type: 'gauge' as const,
      values: self.keys.map((key, place) => ({
        labels: { key, seals: place === 0 ? 'yes' : 'no' },
        value: 1,
      })),
    },
    only('group_view_changes_total', 'Members that came or went.', viewChanges),
    counter(
      'group_segments_total',
      'Segments sent and received, by kind.',
      segments.map(({ direction, kind, count }) => ({ labels: { direction, kind }, value: count })),
    ),
    counter(
      'group_dropped_total',
      'Datagrams and segments dropped, by why.',
      dropped.map(({ reason, count }) => ({ labels: { reason }, value: count })),
    ),
    gauge('group_links', 'Links to other members.', links),
    counter(
      'group_links_refused_total',
      "Connections to the member's own port that became no link, by why.",
      linksRefused.map(({ reason, count }) => ({ labels: { reason }, value: count })),
    ),
    gauges('group_members_heard', 'Other members heard lately, by way.', {
      multicast: members.filter(({ heardBy }) => heardBy.includes('multicast')).length,
      unicast: members.filter(({ heardBy }) => heardBy.includes('unicast')).length,
    }),
    gauges('group_members_reached', 'Other members, by the way that our segments take to them.', {
      multicast: members.filter(({ reachedBy }) => reachedBy === 'multicast').length,
      unicast: members.filter(({ reachedBy }) => reachedBy === 'unicast').length,
    }),
    only('group_rejoins_total', 'Times that the multicast group was joined anew.', rejoins),
    only('group_unsent_total', 'Datagrams that the system refused to send.', unsent),
    counter(
      'group_discovery_failures_total',
      'Questions for members without an answer, by who was asked.',
      unfound.map(({ way, count }) => ({ labels: { way }, value: count })),
    ),
    only('group_repairs_total', 'Segments sent again.', repairs),
    only('group_passed_on_total', 'Segments of gone members, sent on to others.', passedOn),
    only('group_own_lost_total', 'Own segments that did not come back in time.', ownLost),
    counter(
      'group_gate_seconds_total',
      'How long segments waited, by the gate that was the last to be closed.',
      gates.map(({ gate, seconds }) => ({ labels: { gate }, value: seconds })),
    ),
    only('group_exchanges_total', 'Exchanges of records, to join or to mend.', exchanges),
    counter(
      'group_writes_total',
      'Writes of this member, by how they ended.',
      writes.map(({ outcome, count }) => ({ labels: { outcome }, value: count })),
    ),
    only('cache_unstored_total', "Others' records that found no room.", unstored),
  ];
}

function cacheMetrics({ cache }: ReplicaStatus): readonly MetricFamily[] {
  return [
    gauge('cache_records', 'Live records.', cache.records),
    gauge('cache_tombstones', 'Deleted records that are remembered.', cache.tombstones),
    gauge('cache_bytes', 'Memory that the records take.', cache.bytes),
    gauge('cache_capacity_bytes', 'Memory that they may take.', cache.capacityBytes),
  ];
}

function counter(name: string, help: string, values: readonly MetricValue[]): MetricFamily {
  return { name, help, type: 'counter', values };
}

function gauges(name: string, help: string, byWay: Readonly<Record<string, number>>): MetricFamily {
  const values = Object.entries(byWay).map(([way, value]) => ({ labels: { way }, value }));
  return { name, help, type: 'gauge', values };
}

function only(name: string, help: string, value: number): MetricFamily {
  return counter(name, help, [{ labels: {}, value }]);
}
