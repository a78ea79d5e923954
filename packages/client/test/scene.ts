import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Endpoint, Resolve } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import { Client, type ClientOptions } from '../src/index.ts';
import { createAuthority } from './certificates.ts';
import { FakeNode, type FakeNodeOptions } from './fake-node.ts';

export const authority = createAuthority();
export const USER = { name: 'demo', password: 'sesame' };

export interface Logged {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

export type ClientChanges = Partial<Omit<ClientOptions, 'limits' | 'udp'>> & {
  readonly limits?: Partial<ClientOptions['limits']>;
  readonly udp?: Partial<ClientOptions['udp']>;
};

export interface Scene {
  readonly client: Client;
  readonly port: number;
  readonly log: readonly Logged[];
}

/** Started nodes of one cluster on these ports; they are killed when the test ends. */
export async function startNodes(
  test: Test,
  ports: readonly number[],
  changes: Partial<FakeNodeOptions> = {},
): Promise<FakeNode[]> {
  return startNodesAt(
    test,
    ports.map((port) => ({ address: '127.0.0.1', port })),
    changes,
  );
}

/** As `startNodes`, anywhere on the loopback. */
export async function startNodesAt(
  test: Test,
  endpoints: readonly Endpoint[],
  changes: Partial<FakeNodeOptions> = {},
): Promise<FakeNode[]> {
  const cluster = { ticketKeys: randomBytes(48), loggedIn: false, records: new Map() };
  const nodes = endpoints.map(
    (endpoint) => new FakeNode({ ...endpoint, authority, cluster, user: USER, ...changes }),
  );
  for (const node of nodes) {
    await node.start();
    test.teardown(() => node.kill());
  }
  return nodes;
}

/**
 * A started client of the nodes on these ports, drawn from the front; stopped when the test ends.
 */
export async function startClient(
  test: Test,
  ports: readonly number[],
  changes: ClientChanges = {},
  resolve: Resolve = nobodyKnows,
): Promise<Scene> {
  const log: Logged[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    log.push({ level, message, fields });
  };
  const host = Object.assign(new SystemHost(), { random: (size: number) => Buffer.alloc(size) });
  const client = new Client(
    host,
    { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    {
      listen: { address: '127.0.0.1', port: 0 },
      nodes: ports.map((port) => ({ address: '127.0.0.1', port })),
      serverName: 'argyle.cluster',
      ca: authority.certificate,
      user: USER,
      certificate: undefined,
      warmConnections: 2,
      forwards: [],
      ...changes,
      udp: {
        standbys: 1,
        resend: { datagrams: 256, ageMs: 1_000 },
        datagramBytes: 1_452,
        fallback: true,
        associations: 100,
        idleMs: 60_000,
        ...changes.udp,
      },
      limits: {
        connections: 100,
        connectMs: 2_000,
        greetingMs: 2_000,
        requestMs: 5_000,
        idleMs: 60_000,
        retryMs: 200,
        ...changes.limits,
      },
    },
    resolve,
  );
  test.teardown(() => client.stop());
  const { port } = await client.start();
  return { client, port, log };
}

/** For a client whose nodes have no names. */
const nobodyKnows: Resolve = (name) => Promise.reject(new Error(`asked for ${name}`));

/** Waits for the client to have reached a node, and its warm connections to be there. */
export async function settle({ client }: Scene, warm = 2): Promise<void> {
  await until(() => metric(client, 'client_warm_connections') >= warm);
}

/** A TCP server that handles each connection; its port. */
export async function startTarget(
  test: Test,
  handle: (socket: Socket) => void,
  address = '127.0.0.1',
): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    test.teardown(() => void socket.destroy());
    handle(socket);
  });
  server.listen(0, address);
  await once(server, 'listening');
  test.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

export async function startEcho(test: Test): Promise<number> {
  return startTarget(test, (socket) => socket.pipe(socket));
}

/** An application's connection to the client's port. */
export async function application(test: Test, port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  test.teardown(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

export function connectRequest(port: number, host: string | number[] = [127, 0, 0, 1]): Buffer {
  const portBytes = [port >> 8, port & 0xff];
  if (typeof host === 'string') {
    const name = Buffer.from(host, 'latin1');
    return Buffer.from([5, 1, 0, 3, name.length, ...name, ...portBytes]);
  }
  return Buffer.from([5, 1, 0, host.length === 4 ? 1 : 4, ...host, ...portBytes]);
}

/** Greets, asks, and answers with the reply's code; undefined when the client closed instead. */
export async function ask(socket: Socket, request: Buffer): Promise<number | undefined> {
  socket.write(Buffer.from([5, 1, 0]));
  await take(socket, 2);
  socket.write(request);
  const reply = await take(socket, 10);
  return reply?.[1];
}

/** Exactly so many bytes; undefined when the stream ends before. */
export async function take(socket: Socket, sizeBytes: number): Promise<Buffer | undefined> {
  for (;;) {
    const bytes: Buffer | null = socket.read(sizeBytes);
    if (bytes?.length === sizeBytes) return bytes;
    if (bytes || socket.readableEnded || socket.destroyed) return undefined;
    await Promise.race(
      ['readable', 'end', 'close'].map((name) => new Promise((wake) => socket.once(name, wake))),
    );
  }
}

/** Through the client to an echo and back; the reply's code, or what came back. */
export async function echo(test: Test, port: number, target: number, words: string) {
  const socket = await application(test, port);
  const code = await ask(socket, connectRequest(target));
  if (code !== 0) return code;
  socket.write(words);
  const answer = await take(socket, words.length);
  socket.destroy();
  return answer?.toString();
}

/** Waits until the condition holds; a test's own time limit ends it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

/** The sum over all label sets that match. */
export function metric(
  client: Client,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = client.metrics().find((family) => family.name === name);
  const rows = (family?.values ?? []).filter((row) =>
    Object.entries(labels).every(([label, value]) => row.labels[label] === value),
  );
  return rows.reduce((sum, { value }) => sum + value, 0);
}
