import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import type * as z from 'zod';
import type { Endpoint } from '@argyle/host';
import type { ClusterKeys } from '@argyle/multicast';
import type { NodeOptions } from '@argyle/node';
import { ConfigDocument } from './document.ts';
import { carriedBytes, interfaceAddress, segmentBytes } from './interface.ts';
import { Material } from './material.ts';
import { nodeSchema } from './node-schema.ts';
import { Findings } from './problem.ts';
import { effective } from './schema-walk.ts';
import { readUsers, type Users } from './users-file.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface NodeConfig {
  readonly file: string;
  readonly options: NodeOptions;
  readonly admin: Endpoint;
  readonly logLevel: LogLevel;
  /** The ring, read again when it changes. */
  readonly keysFile: string;
  /** Read again when it changes; undefined when no method needs it. */
  readonly usersFile: string | undefined;
  readonly warnings: readonly string[];
  /** The file with every default filled in; it names files and holds no secret. */
  readonly effective: unknown;
}

/**
 * Reads a node's configuration and every file that it names. Throws one ConfigError that holds all
 * that is wrong with any of them. `nowMs` is wall time since 1970.
 */
export function loadNodeConfig(file: string, nowMs: number): NodeConfig {
  const findings = new Findings();
  const document = ConfigDocument.read(file, findings);
  findings.settle();
  assert(document, 'what cannot be read is a problem');

  const said = document.validate(nodeSchema);
  const material = new Material(document, findings, nowMs);
  const files = readFiles(document, material, findings);
  const group = document.at(['group', 'interface']) ?? 'auto';
  const address = typeof group === 'string' ? interfaceAddress(group) : undefined;
  if (said && address === undefined) {
    const found = `"${group}", which has no IPv4 address here`;
    document.report(['group', 'interface'], found, 'an interface that is up');
  }
  findings.settle();
  const { pair, clusterKey, ca } = files;
  const keysFile = document.pathAt(['group', 'clusterKey']);
  assert(
    said &&
      pair &&
      clusterKey &&
      keysFile !== undefined &&
      ca !== undefined &&
      address !== undefined,
    'what is missing is a problem',
  );
  warnOfFragments(said.group.segment, address, findings);
  return {
    file,
    options: toOptions(said, { ...files, pair, clusterKey, ca, address }),
    admin: said.admin,
    logLevel: said.log.level,
    keysFile,
    usersFile: files.usersFile,
    warnings: findings.warnings,
    effective: { name: hostname(), ...Object(effective(nodeSchema, document.raw)) },
  };
}

function warnOfFragments(segment: number | 'auto', address: string, findings: Findings): void {
  const carried = carriedBytes(address);
  if (segment === 'auto' || carried === undefined || segment <= carried) return;
  findings.warnings.push(
    `group.segment is ${segment}B, and the interface with ${address} carries ${carried}B: each ` +
      'segment travels in fragments, and is lost with any of them',
  );
}

interface Files {
  readonly pair: { readonly certificate: string; readonly key: string };
  readonly clusterKey: ClusterKeys;
  readonly ca: string;
  readonly crls: readonly string[];
  readonly users: Users;
  readonly address: string;
}

function readFiles(document: ConfigDocument, material: Material, findings: Findings) {
  const name = document.at(['tls', 'serverName']) ?? 'argyle.cluster';
  const usersFile = document.pathAt(['authentication', 'users']);
  const methods = document.at(['authentication', 'methods']) ?? ['password'];
  if (usersFile === undefined && Array.isArray(methods) && methods.includes('password'))
    document.report(['authentication', 'users'], 'nothing', 'the path of the list of users');
  return {
    pair: material.pair(
      { certificate: ['tls', 'certificate'], key: ['tls', 'key'] },
      typeof name === 'string' ? name : undefined,
    ),
    ca: material.ca(['tls', 'ca']),
    crls: material.crls(['tls', 'crls']),
    clusterKey: material.clusterKey(['group', 'clusterKey']),
    usersFile,
    users: (usersFile !== undefined && readUsers(usersFile, findings)) || new Map(),
  };
}

function toOptions(said: z.output<typeof nodeSchema>, files: Files): NodeOptions {
  const { tls, group, sessions, socks, limits } = said;
  return {
    name: said.name ?? hostname(),
    listen: said.listen,
    tls: {
      ...files.pair,
      ca: files.ca,
      crls: files.crls,
      serverName: tls.serverName,
      clientCertificate: tls.clientCertificate,
      minVersion: tls.minVersion,
    },
    group: {
      clusterKey: files.clusterKey,
      address: group.address,
      interfaceAddress: files.address,
      ownPort: group.port,
      multicastTtl: group.ttl,
      segmentBytes: group.segment === 'auto' ? segmentBytes(files.address) : group.segment,
      transport: group.transport,
      mdns: group.mdns,
      members: group.members,
    },
    cache: { capacityBytes: said.cache.capacity },
    sessions: {
      idleMs: sessions.idle,
      lineageMs: sessions.lineage,
      beforeLoginMs: sessions.beforeLogin,
      beforeLoginPerAddress: sessions.beforeLoginPerAddress,
      singleUse: sessions.singleUse,
      holdMs: sessions.hold,
    },
    authentication: { methods: said.authentication.methods, users: files.users },
    rules: said.rules,
    protectedEndpoints: [said.admin, ...said.protected.flat()],
    socks: toSocks(socks),
    limits: {
      connections: limits.connections,
      connectionsPerAddress: limits.connectionsPerAddress,
      handshakeMs: limits.handshake,
      greetingMs: limits.greeting,
      requestMs: limits.request,
      connectMs: limits.connect,
      idleMs: limits.idle,
      drainMs: limits.drain,
    },
  };
}

function toSocks(socks: z.output<typeof nodeSchema>['socks']): NodeOptions['socks'] {
  return {
    plainFrom: socks.plainFrom,
    bind: {
      waitMs: socks.bind.wait,
      addresses: socks.bind.addresses,
      ports: socks.bind.ports,
      waiting: socks.bind.waiting,
      waitingPerAddress: socks.bind.waitingPerAddress,
    },
    udp: {
      clear: socks.udp.clear,
      addresses: socks.udp.addresses,
      filtering: socks.udp.filtering,
      ports: socks.udp.ports,
      destinations: socks.udp.destinations,
      associations: socks.udp.associations,
      associationsPerAddress: socks.udp.associationsPerAddress,
      idleMs: socks.udp.idle,
      datagramBytes: socks.udp.datagram,
      suite: socks.udp.suite,
      replay: socks.udp.replay,
      graceMs: socks.udp.grace,
    },
  };
}
