import type { MetricFamily } from '@argyle/host';
import type { AssociationsStatus } from './associations.ts';
import type { ClusterStatus } from './cluster.ts';
import type { Counters } from './counters.ts';
import { counter, byLabel, gauge, single } from './family.ts';
import { forwardLabel } from './forward-log.ts';
import { endpointLabel } from './label.ts';
import type { KnownNode } from './nodes.ts';
import type { TunnelTotals } from './local-port.ts';
import { associationFamilies, associationsView } from './udp-status.ts';
import type { Forward } from './udp-options.ts';

/** All that a client shows is made of these. */
export interface ClientFacts {
  readonly listen: string;
  readonly serverName: string;
  readonly cluster: ClusterStatus;
  readonly counters: Counters;
  /** Of each TCP port. */
  readonly ports: readonly TunnelTotals[];
  readonly associations: AssociationsStatus;
  readonly forwards: readonly { readonly forward: Forward; readonly flows: number }[];
}

export function clusterView(facts: ClientFacts): unknown {
  const { listen, serverName, cluster, associations, forwards } = facts;
  const tunnels = total(facts.ports);
  return {
    listen,
    serverName,
    node: cluster.node?.label ?? '',
    address: cluster.node ? endpointLabel(cluster.node.endpoint) : '',
    reason: cluster.reason,
    failovers: cluster.failovers,
    nodes: cluster.nodes.map((node) => nodeView(node, node.node === cluster.node?.node)),
    names: cluster.names.map(({ name, addresses, ageMs, failure }) => ({
      name,
      addresses,
      ageMs: ageMs === undefined ? null : rounded(ageMs),
      lastError: failure ?? null,
    })),
    sessions: {
      held: cluster.sessions.held,
      unused: cluster.sessions.unused,
      newestAgeMs: rounded(cluster.sessions.newestAgeMs ?? 0),
      oldestAgeMs: rounded(cluster.sessions.oldestAgeMs ?? 0),
    },
    connections: cluster.connections,
    warmConnections: cluster.warmConnections,
    tunnels: { open: tunnels.open },
    bytes: { toCluster: tunnels.toClusterBytes, fromCluster: tunnels.fromClusterBytes },
    udp: associationsView(associations),
    forwards: forwards.map(({ forward, flows }) => ({ forward: forwardLabel(forward), flows })),
  };
}

function total(ports: readonly TunnelTotals[]): TunnelTotals {
  return ports.reduce((sum, port) => ({
    open: sum.open + port.open,
    toClusterBytes: sum.toClusterBytes + port.toClusterBytes,
    fromClusterBytes: sum.fromClusterBytes + port.fromClusterBytes,
  }));
}

function nodeView(node: KnownNode, inUse: boolean): unknown {
  const { label, endpoint, state, delayMs, failures, lastFailure } = node;
  return {
    endpoint: label,
    address: endpointLabel(endpoint),
    inUse,
    state,
    delayMs: delayMs === undefined ? null : rounded(delayMs),
    connections: node.connections,
    failures,
    lastError: lastFailure
      ? { code: lastFailure.code, cause: lastFailure.message, agoMs: rounded(lastFailure.agoMs) }
      : null,
    nextTrialMs: rounded(node.nextTrialMs),
  };
}

export function metricFamilies({
  cluster,
  counters,
  ports,
  associations,
}: ClientFacts): readonly MetricFamily[] {
  const tunnels = total(ports);
  const { handshakes, logins, requests, retries, hedges } = counters;
  return [
    counter(
      'client_handshakes_total',
      'TLS handshakes with nodes.',
      handshakes.map(({ node, resumed, protocol, count }) => ({
        labels: { resumed: String(resumed), protocol, node },
        value: count,
      })),
    ),
    counter(
      'client_logins_total',
      'Logins at nodes: by password, by the TLS session, or not asked for.',
      byLabel('by', logins),
    ),
    counter(
      'client_requests_total',
      'What became of the connections of applications.',
      byLabel('outcome', requests),
    ),
    counter(
      'client_retries_total',
      'Requests whose node was lost before it answered, so that the next was asked.',
      single(retries),
    ),
    counter(
      'client_hedges_total',
      'Requests that the next node was asked as well, because theirs was silent.',
      single(hedges),
    ),
    counter(
      'client_failovers_total',
      'Moves to another node because the one in use failed.',
      single(cluster.failovers),
    ),
    ...nodeFamilies(cluster, counters),
    gauge('client_sessions', 'TLS sessions held.', single(cluster.sessions.held)),
    gauge('client_connections', 'Connections to the node in use.', single(cluster.connections)),
    gauge(
      'client_warm_connections',
      'Those of them that carry nothing and wait for a request.',
      single(cluster.warmConnections),
    ),
    gauge('client_tunnels', 'Open tunnels.', single(tunnels.open)),
    counter(
      'client_bytes_total',
      'Payload bytes through tunnels.',
      byLabel('direction', {
        to_cluster: tunnels.toClusterBytes,
        from_cluster: tunnels.fromClusterBytes,
      }),
    ),
    ...associationFamilies(associations),
  ];
}

function nodeFamilies(
  { nodes, names }: ClusterStatus,
  { lookUps }: Counters,
): readonly MetricFamily[] {
  return [
    gauge(
      'client_node_delay_seconds',
      'Smoothed time of a resumed TLS handshake.',
      nodes.flatMap(({ label, delayMs }) =>
        delayMs === undefined ? [] : [{ labels: { node: label }, value: delayMs / 1000 }],
      ),
    ),
    gauge(
      'client_node_reached',
      'Whether the last that was heard of the node was good.',
      nodes.map(({ label, state }) => ({
        labels: { node: label },
        value: state === 'reached' ? 1 : 0,
      })),
    ),
    gauge(
      'client_node_connections',
      'Connections to the node, also those that are being made or end with their tunnels.',
      nodes.map(({ label, connections }) => ({
        labels: { node: label },
        value: connections,
      })),
    ),
    counter('client_lookups_total', 'Look-ups of the names of nodes.', byLabel('outcome', lookUps)),
    gauge(
      'client_name_addresses',
      'Addresses that are known for the name, also when it does not resolve now.',
      names.map(({ name, addresses }) => ({
        labels: { name },
        value: addresses.length,
      })),
    ),
    gauge(
      'client_name_resolves',
      'Whether the last look-up of the name was answered.',
      names.map(({ name, ageMs, failure }) => ({
        labels: { name },
        value: ageMs !== undefined && failure === undefined ? 1 : 0,
      })),
    ),
  ];
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
