import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { SystemHost } from '@argyle/host/system';
import t, { type Test } from 'tap';
import { BindPort, type BindPortOptions } from '../src/bind-port.ts';
import { until } from './until.ts';

const LOOPBACK = '127.0.0.1';

/** Timers that are set and not yet cancelled. */
class CountingHost extends SystemHost {
  readonly timers = new Set<object>();

  override after(delayMs: number, wake: () => void): () => void {
    const timer = {};
    this.timers.add(timer);
    const cancel = super.after(delayMs, () => {
      this.timers.delete(timer);
      wake();
    });
    return () => {
      this.timers.delete(timer);
      cancel();
    };
  }
}

function open(host: CountingHost, changes: Partial<BindPortOptions> = {}) {
  const { signal } = new AbortController();
  const options = { address: LOOPBACK, ports: undefined, waitMs: 60_000, signal };
  return BindPort.open(host, { ...options, accepts: () => true, ...changes });
}

async function opened(host: CountingHost, changes: Partial<BindPortOptions> = {}) {
  const port = await open(host, changes);
  if (typeof port === 'string') throw new Error(port);
  return port;
}

async function peer(t: Test, port: number, from = LOOPBACK): Promise<Socket> {
  const socket = connect({ host: LOOPBACK, port, localAddress: from });
  t.teardown(() => void socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

function listeners(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;
}

/** No port and no timer is left. */
function closed(host: CountingHost): Promise<void> {
  return until(() => listeners() === 0 && host.timers.size === 0);
}

t.test('the first peer is met, and the port is closed before anybody else comes', async (t) => {
  const host = new CountingHost();
  const port = await opened(host);
  t.strictSame([listeners(), host.timers.size], [1, 1]);
  const first = await peer(t, port.port);
  const meeting = await port.met;
  if (meeting.kind !== 'met') throw new Error(meeting.kind);
  t.strictSame(meeting.peer, { address: LOOPBACK, port: first.localPort });
  await closed(host);
  await t.rejects(peer(t, port.port), { code: 'ECONNREFUSED' });
  meeting.socket.resume().end('hello');
  const [bytes] = await once(first, 'data');
  t.equal(String(bytes), 'hello');
  t.ok(meeting.socket.allowHalfOpen);
  meeting.socket.destroy();
});

t.test('who is not accepted gets a reset, and the port waits on', async (t) => {
  const host = new CountingHost();
  const seen: string[] = [];
  const port = await opened(host, {
    accepts: ({ bytes }) => {
      seen.push(bytes.join('.'));
      return bytes[3] === 9;
    },
  });
  for (const from of ['127.0.0.2', '127.0.0.3']) {
    const stranger = connect({ host: LOOPBACK, port: port.port, localAddress: from });
    const [error] = await once(stranger.resume(), 'error').catch((error) => [error]);
    t.equal(error.code, 'ECONNRESET', from);
  }
  await peer(t, port.port, '127.0.0.9');
  const meeting = await port.met;
  t.equal(meeting.kind, 'met');
  t.strictSame(seen, ['127.0.0.2', '127.0.0.3', '127.0.0.9']);
  if (meeting.kind === 'met') meeting.socket.destroy();
});

t.test('of two that come at once one is met', async () => {
  for (let round = 0; round < 20; round += 1) {
    const port = await opened(new CountingHost());
    const sockets = [1, 2, 3].map(() => connect({ host: LOOPBACK, port: port.port }));
    for (const socket of sockets) socket.on('error', () => undefined).resume();
    const meeting = await port.met;
    if (meeting.kind !== 'met') throw new Error(meeting.kind);
    await until(() => sockets.filter(({ closed }) => closed).length === 2);
    meeting.socket.destroy();
    await until(() => sockets.every(({ closed }) => closed));
  }
  await closed(new CountingHost());
});

t.test('a wait that is over leaves no port and no timer', async (t) => {
  const host = new CountingHost();
  const late = await opened(host, { waitMs: 10 });
  t.strictSame(await late.met, { kind: 'timeout' });
  const leaving = new AbortController();
  const left = await opened(host, { signal: leaving.signal });
  leaving.abort();
  t.strictSame(await left.met, { kind: 'left' });
  const before = await opened(host, { signal: AbortSignal.abort() });
  t.strictSame(await before.met, { kind: 'left' });
  await closed(host);
});

t.test('ports are taken from the range, those in use left out', async (t) => {
  const taken = createServer().listen(0, LOOPBACK);
  await once(taken, 'listening');
  t.teardown(() => void taken.close());
  const { port: from } = taken.address() as AddressInfo;
  const host = new CountingHost();
  const leaving = new AbortController();
  const { signal } = leaving;
  const port = await opened(host, { ports: { from, to: from + 9 }, signal });
  t.ok(port.port > from && port.port <= from + 9);
  const used = { from: port.port, to: port.port };
  t.equal(await open(host, { ports: used, signal }), 'EADDRINUSE');
  t.equal(await open(host, { address: 'fe80::1', signal }).then((end) => typeof end), 'string');
  leaving.abort();
  await port.met;
  t.equal(host.timers.size, 0);
});

t.test('an address of somebody else’s means all of this machine’s', async (t) => {
  for (const [address, dialled] of [
    ['192.0.2.1', LOOPBACK],
    ['2001:db8::1', '::1'],
  ] as const) {
    const port = await opened(new CountingHost(), { address });
    const socket = connect({ host: dialled, port: port.port }).on('error', () => undefined);
    const meeting = await port.met;
    if (meeting.kind !== 'met') throw new Error(meeting.kind);
    t.equal(meeting.peer.address, dialled);
    meeting.socket.destroy();
    socket.destroy();
  }
});
