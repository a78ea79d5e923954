import t from 'tap';
import { DatagramSocket, type DatagramHandlers } from '../src/datagram-socket.ts';
import type { Endpoint } from '../src/machine.ts';

const LOOPBACK = { address: '127.0.0.1', port: 0 };

interface Heard {
  readonly text: string;
  readonly from: Endpoint;
}

/** A socket's handlers, and the first datagram that it gets. */
function listener(): DatagramHandlers & { readonly heard: Promise<Heard> } {
  const { promise: heard, resolve } = Promise.withResolvers<Heard>();
  return {
    heard,
    datagram: (bytes, { address, port }) =>
      resolve({ text: bytes.toString(), from: { address, port } }),
  };
}

t.test('what is sent arrives, with where it came from', async (t) => {
  for (const address of ['127.0.0.1', '::1']) {
    const at = listener();
    const receiver = await DatagramSocket.open({ address, port: 0 }, at);
    const sender = await DatagramSocket.open({ address, port: 0 }, listener());
    sender.send(Buffer.from('hello'), receiver.endpoint);
    t.same(await at.heard, { text: 'hello', from: sender.endpoint });
    sender.close();
    receiver.close();
  }
});

t.test('one with a peer hears nobody else, and answers nobody else', async (t) => {
  const [a, b, c] = [listener(), listener(), listener()];
  const peer = await DatagramSocket.open(LOOPBACK, a);
  const connected = await DatagramSocket.open({ ...LOOPBACK, peer: peer.endpoint }, b);
  const stranger = await DatagramSocket.open(LOOPBACK, c);
  stranger.send(Buffer.from('stranger'), connected.endpoint);
  connected.send(Buffer.from('question'));
  t.same(await a.heard, { text: 'question', from: connected.endpoint });
  peer.send(Buffer.from('answer'), connected.endpoint);
  t.equal((await b.heard).text, 'answer');
  for (const socket of [peer, connected, stranger]) socket.close();
});

t.test('one with a peer is told when nobody listens there', async (t) => {
  const gone = await DatagramSocket.open(LOOPBACK, listener());
  const { promise: refused, resolve } = Promise.withResolvers<void>();
  const peer = gone.endpoint;
  const socket = await DatagramSocket.open(
    { ...LOOPBACK, peer },
    { datagram: () => undefined, refused: resolve },
  );
  gone.close();
  socket.send(Buffer.from('x'));
  await refused;
  socket.send(Buffer.from('x'));
  socket.close();
  t.pass('it is told, and goes on');
});

t.test('what cannot be sent is told and breaks nothing', async (t) => {
  const { promise: unsent, resolve } = Promise.withResolvers<Error>();
  const at = listener();
  const receiver = await DatagramSocket.open(LOOPBACK, at);
  const sender = await DatagramSocket.open(LOOPBACK, {
    datagram: () => undefined,
    unsent: resolve,
  });
  sender.send(Buffer.alloc(65_536), receiver.endpoint);
  t.match(await unsent, { code: 'EMSGSIZE' });
  sender.send(Buffer.from('small'), receiver.endpoint);
  t.equal((await at.heard).text, 'small');
  for (const socket of [sender, receiver]) {
    socket.close();
    socket.close();
    socket.send(Buffer.from('after'), receiver.endpoint);
  }
});

t.test('every send that fails after the first that was told is told', async (t) => {
  let told = 0;
  let enough: () => void = () => undefined;
  const receiver = await DatagramSocket.open(LOOPBACK, listener());
  const sender = await DatagramSocket.open(LOOPBACK, {
    datagram: () => undefined,
    unsent: () => {
      told += 1;
      enough();
    },
  });
  for (let sent = 0; sent < 5; sent += 1) sender.send(Buffer.of(1), receiver.endpoint);
  const tooLarge = Buffer.alloc(65_536);
  let failed = 0;
  while (told === 0) {
    sender.send(tooLarge, receiver.endpoint);
    failed += 1;
    await new Promise(setImmediate);
  }
  t.ok(failed <= 32, `${failed} failed before the first was told`);
  const all = new Promise<void>((resolve) => {
    enough = () => {
      if (told === 101) resolve();
    };
  });
  for (let sent = 0; sent < 100; sent += 1) sender.send(tooLarge, receiver.endpoint);
  await all;
  t.equal(told, 101);
  for (const socket of [sender, receiver]) socket.close();
});

t.test('a port that is taken, or an address that is none of ours, is an error', async (t) => {
  const socket = await DatagramSocket.open(LOOPBACK, listener());
  await t.rejects(DatagramSocket.open(socket.endpoint, listener()), { code: 'EADDRINUSE' });
  await t.rejects(DatagramSocket.open({ address: '192.0.2.1', port: 0 }, listener()), {
    code: 'EADDRNOTAVAIL',
  });
  socket.close();
});
