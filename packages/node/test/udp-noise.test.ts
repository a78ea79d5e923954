/** Noise at the UDP port of a whole node: what reaches it is counted, and it serves on. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DatagramSocket } from '@argyle/host';
import t from 'tap';
import { startNode, type StartedNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { UdpClient } from './udp-client.ts';
import { to, UdpPeer } from './udp-target.ts';
import { until } from './until.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const SECONDS = FULL ? 20 : 1;
const RATE = 20_000;
/** Sent before the node has read any of it; it fits into the kernel's buffer. */
const BATCH = 500;
/** This does not. */
const BURST = 10_000;
const HEAP_BYTES_MAX = 8 * 2 ** 20;

const base = settings(new Pki());
const NOWHERE = { address: '127.0.0.1', port: 9 };
/** Of every kind that somebody without an association can send. */
const KINDS: readonly Buffer[] = [
  Buffer.alloc(0),
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  Buffer.alloc(1_400, 0x16),
  Buffer.alloc(5),
  to(NOWHERE, 'of nobody'),
  to(NOWHERE, 'a fragment', 1),
  Buffer.alloc(1_400, 0x97),
  Buffer.from('9703030040', 'hex'),
  Buffer.concat([Buffer.from('9603030040', 'hex'), Buffer.alloc(64, 7)]),
];

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

const arrived = ({ count }: StartedNode) =>
  count('udp_arrived_total') + count('udp_kernel_drops_total');

t.test(`${RATE} datagrams of noise a second for ${SECONDS} s`, { timeout: 90_000 }, async (t) => {
  const running = await startNode(t, new FakeCluster(), {
    ...base,
    rules: [
      {
        ...{ users: [], groups: [], commands: [], names: [], ports: [] },
        ...{ action: 'allow', networks: ['127.0.0.0/8'] },
      },
    ],
    socks: { ...base.socks, plainFrom: ['127.0.0.1/32'] },
  });
  const { port, count } = running;
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask(client.peer.endpoint.port);
  const source = await DatagramSocket.open(
    { address: '127.0.0.2', port: 0 },
    { datagram: () => t.fail('noise is never answered') },
  );
  t.teardown(() => source.close());
  const node = { address: '127.0.0.1', port };

  let sent = 0;
  const send = (count: number) => {
    for (const end = sent + count; sent < end; sent += 1) {
      source.send(KINDS[sent % KINDS.length]!, node);
    }
  };
  let heapBytes = 0;
  for (let second = 1; second <= SECONDS; second += 1) {
    while (sent < second * RATE) {
      send(BATCH);
      await until(() => arrived(running) >= sent + second - 1);
    }
    client.send(target.endpoint, `${second}`);
    await target.hear(second);
    if (second === 1) heapBytes = heapUsed();
  }
  send(BURST);
  await until(() => arrived(running) >= sent + SECONDS);
  t.equal(arrived(running), sent + SECONDS, 'each was counted once, by the node or the kernel');
  t.equal(target.texts.length, SECONDS, 'and the client was served all the time');
  const nobody = count('udp_turned_away_total', { reason: 'stranger' });
  const conventional = count('udp_arrived_total', { kind: 'conventional' });
  t.equal(nobody, conventional - SECONDS, 'nothing of it was relayed');
  t.equal(count('udp_relays'), 1);
  t.equal(count('udp_port_unsent_total'), 0);
  const grown = heapUsed() - heapBytes;
  t.ok(grown < HEAP_BYTES_MAX, `the heap has grown by ${grown} bytes`);
  t.comment(`kernel drops: ${count('udp_kernel_drops_total')}`);
});
