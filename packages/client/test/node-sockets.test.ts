import t, { type Test } from 'tap';
import { DatagramSocket, type Endpoint } from '@argyle/host';
import { ManualHost } from '@argyle/host/manual-host';
import type { DatagramNode } from '../src/datagram-nodes.ts';
import { NodeSockets } from '../src/node-sockets.ts';
import { until } from './scene.ts';

/** A node that keeps what it hears. */
async function startNode(t: Test, name: string) {
  const heard: { words: string; from: Endpoint }[] = [];
  const socket = await DatagramSocket.open(
    { address: '127.0.0.1', port: 0 },
    { datagram: (bytes, from) => void heard.push({ words: bytes.toString(), from }) },
  );
  t.teardown(() => socket.close());
  return { name, endpoint: socket.endpoint, socket, heard };
}

/** Sockets to these nodes, and what came of them. */
function openSockets(t: Test, nodes: readonly DatagramNode[]) {
  const host = new ManualHost();
  const received: string[] = [];
  const refused: string[] = [];
  const counts = { unsent: 0 };
  const sockets = new NodeSockets(host, {
    datagram: (bytes, node) => void received.push(`${node}: ${bytes.toString()}`),
    refused: (node) => void refused.push(node),
    unsent: (count) => void (counts.unsent += count),
  });
  t.teardown(() => sockets.close());
  const find = (name: string) => nodes.find((node) => node.name === name);
  const send = (words: string, name: string) => sockets.send(Buffer.from(words), name, find);
  return { host, sockets, send, received, refused, counts };
}

t.test('each node has a socket, and the first datagrams wait for it', async (t) => {
  const [alpha, bravo] = [await startNode(t, 'alpha'), await startNode(t, 'bravo')];
  const { send, sockets, received } = openSockets(t, [alpha, bravo]);
  for (const words of ['one', 'two']) for (const to of ['alpha', 'bravo']) send(words, to);
  await until(() => alpha.heard.length === 2 && bravo.heard.length === 2);
  t.strictSame(
    alpha.heard.map(({ words }) => words),
    ['one', 'two'],
  );
  t.equal(sockets.size, 2);
  const [first] = alpha.heard;
  if (first) alpha.socket.send(Buffer.from('answer'), first.from);
  await until(() => received.length === 1);
  t.strictSame(received, ['alpha: answer']);
});

t.test('a stranger is not heard', async (t) => {
  const [alpha, stranger] = [await startNode(t, 'alpha'), await startNode(t, 'stranger')];
  const { send, received } = openSockets(t, [alpha]);
  send('hello', 'alpha');
  await until(() => alpha.heard.length === 1);
  const from = alpha.heard[0]?.from;
  if (!from) throw new Error('it was heard');
  stranger.socket.send(Buffer.from('noise'), from);
  alpha.socket.send(Buffer.from('answer'), from);
  await until(() => received.length > 0);
  t.strictSame(received, ['alpha: answer']);
});

t.test('a node whose port is closed is told', async (t) => {
  const alpha = await startNode(t, 'alpha');
  const { send, refused } = openSockets(t, [alpha]);
  send('hello', 'alpha');
  await until(() => alpha.heard.length === 1);
  alpha.socket.close();
  send('anybody?', 'alpha');
  await until(() => refused.length > 0);
  t.equal(refused[0], 'alpha');
});

t.test('what goes to nobody that is known is counted', async (t) => {
  const { send, counts, sockets } = openSockets(t, []);
  send('hello', 'alpha');
  t.strictSame([counts.unsent, sockets.size], [1, 0]);
});

t.test('no more than so many wait for a socket', async (t) => {
  const alpha = await startNode(t, 'alpha');
  const { send, counts } = openSockets(t, [alpha]);
  for (let count = 0; count < 70; count += 1) send('word', 'alpha');
  t.equal(counts.unsent, 6);
  await until(() => alpha.heard.length === 64);
});

t.test('a HELLO after a silence goes by another port, and both hear an answer', async (t) => {
  const alpha = await startNode(t, 'alpha');
  const { host, sockets, send, received } = openSockets(t, [alpha]);
  const hello = Buffer.alloc(69);
  hello[0] = 0x96;
  const sendHello = () => sockets.send(hello, 'alpha', () => alpha);
  const port = async (count: number) => {
    await until(() => alpha.heard.length === count);
    return alpha.heard[count - 1]?.from.port;
  };
  sendHello();
  const first = await port(1);
  host.advance(40);
  sendHello();
  t.equal(await port(2), first, 'an answer may be on its way');
  host.advance(10);
  sendHello();
  const second = await port(3);
  t.not(second, first);
  send('data', 'alpha');
  t.equal(await port(4), second);
  alpha.socket.send(Buffer.from('late'), { address: '127.0.0.1', port: first ?? 0 });
  await until(() => received.length === 1);
  send('data', 'alpha');
  t.equal(await port(5), first, 'what answers is where to go');
  host.advance(1_000);
  send('data', 'alpha');
  t.equal(await port(6), first, 'only a HELLO asks for another');
});

t.test('a socket that nothing passed for a minute is closed, and opened again', async (t) => {
  const [alpha, bravo] = [await startNode(t, 'alpha'), await startNode(t, 'bravo')];
  const { host, send, sockets } = openSockets(t, [alpha, bravo]);
  for (const to of ['alpha', 'bravo']) send('one', to);
  await until(() => alpha.heard.length === 1 && bravo.heard.length === 1);
  host.advance(40_000);
  send('two', 'bravo');
  await until(() => bravo.heard.length === 2);
  host.advance(20_000);
  t.equal(sockets.size, 1, 'bravo was used');
  send('three', 'alpha');
  await until(() => alpha.heard.length === 2);
  t.not(alpha.heard[1]?.from.port, alpha.heard[0]?.from.port);
  sockets.close();
  t.equal(host.armed, 0);
});
