import type { Log } from '@argyle/host';
import type { NodeOptions } from '../src/options.ts';
import { Pki } from './pki.ts';

export const SERVER_NAME = 'argyle.cluster';

export const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Everything a node is told, as small as a test wants it; override what the test is about. */
export function settings(pki: Pki, name = 'node-1'): NodeOptions {
  return {
    name,
    listen: { address: '127.0.0.1', port: 0 },
    tls: {
      ...pki.server(SERVER_NAME),
      ca: pki.ca,
      crls: [],
      serverName: SERVER_NAME,
      clientCertificate: 'optional',
      minVersion: 'TLSv1.2',
    },
    group: {
      clusterKey: new Uint8Array(32),
      address: { address: '239.192.0.1', port: 21_900 },
      interfaceAddress: '127.0.0.1',
      ownPort: 0,
      multicastTtl: 0,
      segmentBytes: 1_200,
      transport: 'auto',
      mdns: false,
      members: [],
    },
    cache: { capacityBytes: 16 * 1024 * 1024 },
    sessions: {
      idleMs: 3_600_000,
      lineageMs: 86_400_000,
      beforeLoginMs: 120_000,
      beforeLoginPerAddress: 64,
      singleUse: false,
      holdMs: 250,
    },
    authentication: { methods: ['none', 'password'], users: new Map() },
    rules: [],
    protectedEndpoints: [],
    socks: {
      plainFrom: [],
      bind: { waitMs: 10_000, addresses: [], ports: undefined, waiting: 8, waitingPerAddress: 4 },
      udp: {
        ...{ clear: false, addresses: [], filtering: 'address-dependent', ports: undefined },
        ...{ destinations: 64, associations: 64, associationsPerAddress: 32, idleMs: 60_000 },
        ...{ datagramBytes: 1_452, suite: 'aes-128-gcm', replay: 'drop', graceMs: 60_000 },
      },
    },
    limits: {
      connections: 100,
      connectionsPerAddress: 100,
      handshakeMs: 10_000,
      greetingMs: 10_000,
      requestMs: 10_000,
      connectMs: 10_000,
      idleMs: 60_000,
      drainMs: 1_000,
    },
  };
}
