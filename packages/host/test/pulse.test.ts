import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Pulse } from '../src/pulse.ts';
import { SystemHost } from '../src/system.ts';

const EVERY_MS = 10;

/** Both ends of a connection over loopback. */
async function pair(t: Test): Promise<[own: Socket, peer: Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [own] = (await once(server, 'connection')) as [Socket];
  server.close();
  for (const socket of [own, peer]) socket.on('error', () => undefined);
  t.teardown(() => void [own, peer].map((socket) => socket.destroy()));
  return [own, peer];
}

/** With an error or without. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once('close', () => resolve()));
}

t.test('a reset behind an end is found, though nobody reads any more', async (t) => {
  const [own, peer] = await pair(t);
  new Pulse(new SystemHost(), { everyMs: EVERY_MS }).watch(own);
  peer.end('goodbye');
  await once(own.resume(), 'end');
  peer.resetAndDestroy();
  await closed(own);
  t.ok(own.errored);
});

t.test('so is one of a peer that had sent more than is read', async (t) => {
  const [own, peer] = await pair(t);
  new Pulse(new SystemHost(), { everyMs: EVERY_MS }).watch(own);
  peer.write(Buffer.alloc(1024 * 1024));
  await once(own, 'readable');
  peer.resetAndDestroy();
  await closed(own);
  t.ok(own.errored);
});

t.test('who ended and still reads keeps the connection', async (t) => {
  const [own, peer] = await pair(t);
  const [other, otherPeer] = await pair(t);
  const pulse = new Pulse(new SystemHost(), { everyMs: EVERY_MS });
  for (const socket of [own, other]) pulse.watch(socket);
  own.end();
  await once(peer.resume(), 'end');
  // The other one's end shows that there were beats meanwhile.
  otherPeer.end();
  await once(other.resume(), 'end');
  otherPeer.resetAndDestroy();
  await closed(other);
  peer.end('still here');
  own.setEncoding('utf8');
  const [heard] = await once(own, 'data');
  t.equal(heard, 'still here');
});

t.test('no byte of it goes out, and the timer ends with the last connection', async (t) => {
  const host = new SystemHost();
  const timers = new Set<object>();
  const after = host.after.bind(host);
  let beats = 0;
  host.after = (ms, work) => {
    const timer = {};
    timers.add(timer);
    const cancel = after(ms, () => {
      timers.delete(timer);
      beats += 1;
      work();
    });
    return () => {
      timers.delete(timer);
      cancel();
    };
  };
  const [own, peer] = await pair(t);
  new Pulse(host, { everyMs: 1 }).watch(own);
  peer.on('data', () => t.fail('nothing was said'));
  await new Promise<void>((resolve) => {
    const look = () => (beats > 3 ? resolve() : setImmediate(look));
    look();
  });
  t.equal(timers.size, 1);
  own.destroy();
  await closed(own);
  t.equal(timers.size, 0);
});
