import type { MetricFamily } from '@argyle/host';
import type { AssociationsStatus } from './associations.ts';
import { byLabel, counter, gauge, single } from './family.ts';

export function associationsView(status: AssociationsStatus): unknown {
  const { open, overTls, blocked, nodes, counters } = status;
  return {
    associations: open,
    overTls,
    blocked,
    nodes: [...nodes].map(([address, { used, standby }]) => ({ address, used, standby })),
    datagrams: counters.datagrams,
    moves: counters.moves,
    adoptions: counters.adoptions,
    refused: counters.refused,
  };
}

export function associationFamilies(status: AssociationsStatus): readonly MetricFamily[] {
  const { open, overTls, blocked, nodes, counters } = status;
  const perNode = [...nodes].map(([node, count]) => ({ labels: { node }, ...count }));
  return [
    gauge('client_associations', 'Open associations of UDP.', single(open)),
    gauge('client_associations_over_tls', 'Those that go over TLS for now.', single(overTls)),
    gauge(
      'client_udp_blocked',
      'Whether no node answered over UDP when one was last asked.',
      single(blocked ? 1 : 0),
    ),
    gauge(
      'client_node_associations',
      'Associations that use the node.',
      perNode.map(({ labels, used }) => ({ labels, value: used })),
    ),
    gauge(
      'client_node_standbys',
      'Associations that could move to the node without a round trip.',
      perNode.map(({ labels, standby }) => ({ labels, value: standby })),
    ),
    counter('client_associations_opened_total', 'Associations granted.', single(counters.opened)),
    counter(
      'client_associations_ended_total',
      'Associations that are over, by the reason.',
      byLabel('reason', counters.ended),
    ),
    counter(
      'client_association_moves_total',
      'Moves of an association to another node, by the reason.',
      byLabel('reason', counters.moves),
    ),
    counter(
      'client_adoptions_total',
      'Control connections that were made again, at whatever node.',
      single(counters.adoptions),
    ),
    counter(
      'client_udp_unreachable_total',
      'How often an association found no node that answers over UDP.',
      single(counters.unreachable),
    ),
    ...datagramFamilies(status),
  ];
}

function datagramFamilies({ counters, records }: AssociationsStatus): readonly MetricFamily[] {
  const { datagrams, overTls, refused } = counters;
  return [
    counter('client_datagrams_total', 'Datagrams of applications and targets.', [
      ...ways('to_cluster', datagrams.toCluster, overTls.toCluster),
      ...ways('from_cluster', datagrams.fromCluster, overTls.fromCluster),
    ]),
    counter(
      'client_datagrams_refused_total',
      'Datagrams that went no further, by the reason.',
      byLabel('reason', refused),
    ),
    counter(
      'client_datagrams_resent_total',
      'Datagrams sent again: their node had left, or fell silent.',
      byLabel('because', { left: records.resentMissing, silent: records.resentUnsure }),
    ),
    counter(
      'client_datagrams_given_up_total',
      'Datagrams that waited for a node to answer, too long or too many.',
      single(records.givenUp),
    ),
    counter(
      'client_records_total',
      'Records of secure UDP sent, and opened.',
      byLabel('direction', { sent: records.sent, opened: records.opened }),
    ),
    counter(
      'client_records_dropped_total',
      'Records from nodes that changed nothing, by the reason.',
      byLabel('reason', Object.fromEntries(records.dropped)),
    ),
  ];
}

function ways(direction: string, all: number, overTls: number) {
  return [
    { labels: { direction, way: 'udp' }, value: all - overTls },
    { labels: { direction, way: 'tls' }, value: overTls },
  ];
}
