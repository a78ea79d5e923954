/** The configuration files that `argyle init` writes: few keys, each with a reason to be there. */
import type { Endpoint } from '@argyle/host';
import { formatEndpoint } from './config/address.ts';
import { NODES_MAX, nodeName } from './home.ts';
import {
  LOOPBACK,
  adminEndpoint,
  groupEndpoint,
  memberEndpoint,
  nodeEndpoint,
  type PortPlan,
} from './ports.ts';

const RULES = `\
# The first rule that matches decides. A plain \`allow\` opens the Internet, and nothing of this
# machine's surroundings: those want a rule that names them. For trying things out, the first one
# opens loopback and the test network 198.18.0.0/15 (RFC 2544). Remove it where users are real.
rules:
  - action: allow
    networks: [127.0.0.0/8, '::1/128', 198.18.0.0/15]
  - action: allow
`;

/** A node of a cluster on one machine. `nodes`: how many there are to begin with. */
export function localNode(plan: PortPlan, index: number, nodes: number): string {
  const { base } = plan;
  const name = nodeName(index);
  const others = Array.from({ length: nodes }, (_, other) => other + 1).filter(
    (other) => other !== index,
  );
  const last = NODES_MAX;
  return `\
# Written by \`argyle init\`. What else may stand here: packages/cli/CONFIGURATION.md
name: ${name}
listen: ${formatEndpoint(nodeEndpoint(base, index))}
admin: ${formatEndpoint(adminEndpoint(base, index))}
tls:
  certificate: ${name}.pem
  key: ${name}.key.pem
  ca: ca.pem
group:
  clusterKey: cluster.key
  address: ${formatEndpoint(groupEndpoint(base))}
  interface: ${LOOPBACK}
  port: ${memberEndpoint(base, index).port}
  members: [${others.map((other) => formatEndpoint(memberEndpoint(base, other))).join(', ')}]
authentication:
  users: users.yaml

${RULES}
# Never reached through this node, whatever the rules say: admin and group ports of all nodes here.
protected:
  - ${LOOPBACK}:${adminEndpoint(base, 0).port}-${adminEndpoint(base, last).port}
  - ${LOOPBACK}:${memberEndpoint(base, 0).port}-${memberEndpoint(base, last).port}
`;
}

export function localClient(plan: PortPlan, nodes: number, user: Credentials): string {
  const endpoints = Array.from({ length: nodes }, (_, index) => nodeEndpoint(plan.base, index + 1));
  return client({
    listen: plan.client,
    admin: adminEndpoint(plan.base, 0),
    nodes: endpoints,
    user,
  });
}

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

function client(options: {
  listen: Endpoint;
  admin: Endpoint;
  nodes: readonly Endpoint[];
  user: Credentials;
}): string {
  return `\
# Written by \`argyle init\`. What else may stand here: packages/cli/CONFIGURATION.md
listen: ${formatEndpoint(options.listen)}
admin: ${formatEndpoint(options.admin)}
nodes:
${options.nodes.map((node) => `  - ${formatEndpoint(node)}`).join('\n')}
ca: ca.pem
user:
  name: ${options.user.name}
  password: ${options.user.password}
`;
}

const CONTAINER_LISTEN = { address: '0.0.0.0', port: 11_080 };
const CONTAINER_ADMIN = { address: '0.0.0.0', port: 12_080 };
const CONTAINER_GROUP_PORT = 13_081;

/** One file for every node of a container network; each takes its name from its host name. */
export function containerNode(): string {
  return `\
# Written by \`argyle init --containers\`. What else may stand here: packages/cli/CONFIGURATION.md
# A node takes its name from its container's host name, and finds the others by multicast DNS.
listen: ${formatEndpoint(CONTAINER_LISTEN)}
admin: ${formatEndpoint(CONTAINER_ADMIN)}
tls:
  certificate: node.pem
  key: node.key.pem
  ca: ca.pem
group:
  clusterKey: cluster.key
  interface: auto
  port: ${CONTAINER_GROUP_PORT}
authentication:
  users: users.yaml

${RULES.replace('rules:\n', `rules:\n${CONTAINER_OWN_PORTS}`)}`;
}

/**
 * Loopback and the containers' own network are allowed below, but not the nodes' own ports there.
 */
const CONTAINER_OWN_PORTS = `\
  - action: deny
    networks: [127.0.0.0/8, '::1/128', 198.18.0.0/15]
    ports: [${CONTAINER_LISTEN.port}, ${CONTAINER_ADMIN.port}, ${CONTAINER_GROUP_PORT}]
`;

/** Names of a container network: that of all nodes, and that of a balancer before them. */
export const CONTAINER_NODES = 'node';
export const CONTAINER_BALANCER = 'balancer';

/** `name`: the only one that it knows. */
export function containerClient(name: string, user: Credentials): string {
  return client({
    listen: { address: '0.0.0.0', port: 1_080 },
    admin: CONTAINER_ADMIN,
    nodes: [{ address: name, port: CONTAINER_LISTEN.port }],
    user,
  });
}
