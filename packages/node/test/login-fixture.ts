import type { Test } from 'tap';
import type { NodeOptions, SessionOptions, TlsOptions } from '../src/options.ts';
import { startNode, type StartedNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { OURS, PASSWORD, SocksClient } from './socks-client.ts';
import { userList } from './users-fixture.ts';

export const pki = new Pki();
const base = settings(pki);
const USERS = userList(['ada', 'correct'], ['bob', 'horse']);

export interface Changes extends Partial<Omit<NodeOptions, 'sessions' | 'tls'>> {
  readonly sessions?: Partial<SessionOptions>;
  readonly tls?: Partial<TlsOptions>;
}

function withChanges({ sessions, tls, ...others }: Changes): NodeOptions {
  return {
    ...base,
    authentication: { methods: ['password'], users: USERS },
    ...others,
    sessions: { ...base.sessions, ...sessions },
    tls: { ...base.tls, ...tls },
  };
}

export async function nodes<const List extends readonly Changes[]>(t: Test, ...changes: List) {
  const cluster = new FakeCluster();
  const started = [];
  for (const change of changes) started.push(await startNode(t, cluster, withChanges(change)));
  return started as { [Index in keyof List]: StartedNode };
}

/** A client logs in at the node with our ALPN; the session that it then holds. */
export async function loggedIn(port: number, options = OURS): Promise<Buffer> {
  const client = await SocksClient.connect(pki, port, options);
  await client.greet(PASSWORD);
  await client.login('ada', 'correct');
  const [session] = await client.tls.sessions(1);
  client.end();
  return session ?? Buffer.alloc(0);
}
