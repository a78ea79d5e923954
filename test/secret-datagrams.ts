import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { encodeSocksDatagram, encodeUdpRequest, type Grant } from '@argyle/secure-udp';
import { ControlClient } from './control-client.ts';
import { HandEpoch } from './hand-epoch.ts';
import { passwordOf } from './known-secrets.ts';
import { EchoTarget } from './numbered.ts';
import { type RealCluster, until } from './real-cluster.ts';
import type { SecretSearch } from './secret-search.ts';

const ANSWER_MS = 10_000;
const METHOD_NONE = 0;
const HEADER_BYTES = 10;

/** An association by hand: granted, served at another node, adopted with a wrong proof, ended. */
export async function associate(
  cluster: RealCluster,
  index: number,
  search: SecretSearch,
): Promise<void> {
  const { client, grant } = await openAssociation(cluster, index, search);
  const target = await EchoTarget.open();
  const node = { address: '127.0.0.1', port: cluster.nodePort((index % 3) + 1) };
  const epoch = await HandEpoch.begin(node, grant);
  for (const key of epoch.keys) search.add('an epoch’s key', key);
  const to = { address: '127.0.0.1', port: target.port };
  const record = epoch.seal('opening', to, 'the payload');
  const spoilt = Buffer.from(record).fill(0, record.length - 1);
  // The second is a replay.
  for (const bytes of [spoilt, record, record]) epoch.send(bytes);
  await until('the target answers', ANSWER_MS, () => epoch.heard.length > 0);
  const thief = await connect(cluster, index);
  const proof = randomBytes(32);
  await thief.ask({ kind: 'adopt', association: grant.id, proof });
  thief.close();
  epoch.close();
  target.close();
  client.close();
}

/** Until the client is closed. */
export async function openAssociation(
  cluster: RealCluster,
  index: number,
  search: SecretSearch,
): Promise<{ readonly client: ControlClient; readonly grant: Grant }> {
  const client = await connect(cluster, index);
  await client.ask({ kind: 'associate' });
  const { grant } = client;
  if (!grant) throw new Error('no grant');
  search.add('an association’s secret, as granted', grant.secret);
  return { client, grant };
}

function connect(cluster: RealCluster, index: number): Promise<ControlClient> {
  const login = { user: 'demo', password: passwordOf(cluster) };
  return ControlClient.connect(cluster, index, login);
}

/** Datagrams of an application through the client (RFC 1928 §7); how many came back. */
export async function sendThrough(cluster: RealCluster, times: number): Promise<number> {
  const target = await EchoTarget.open();
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  let returned = 0;
  socket.on('message', () => (returned += 1));
  const control = connectTcp({ host: '127.0.0.1', port: cluster.clientPort });
  control.on('error', () => undefined);
  control.write(Buffer.of(5, 1, METHOD_NONE));
  await once(control, 'data');
  control.write(encodeUdpRequest({ kind: 'associate' }));
  const [reply] = (await once(control, 'data')) as [Buffer];
  const port = reply.readUInt16BE(HEADER_BYTES - 2);
  for (let sent = 1; sent <= times; sent += 1) {
    const payload = Buffer.alloc(100, sent);
    socket.send(encodeSocksDatagram('127.0.0.1', target.port, payload), port, '127.0.0.1');
    await until('it is back', ANSWER_MS, () => returned === sent);
  }
  control.destroy();
  socket.close();
  target.close();
  return returned;
}
