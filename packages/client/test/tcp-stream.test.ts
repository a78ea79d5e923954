import { once } from 'node:events';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { SystemHost } from '@argyle/host/system';
import { requireCloseNotify, TcpStream } from '../src/tcp-stream.ts';
import { authority, until } from './scene.ts';

const SIZE_BYTES = 1 << 20;
/** Fits into the buffers of the stream, so that the end arrives while nobody reads. */
const SMALL_BYTES = 4096;

/** A TLS stream to a server that sends so much and then does as told. */
async function receive(
  t: Test,
  then: (tls: TLSSocket, raw: Socket) => void,
  sizeBytes = SIZE_BYTES,
) {
  const { certificate, key } = authority.issue('argyle.cluster');
  const server = createServer({ cert: certificate, key, allowHalfOpen: true });
  const raws: Socket[] = [];
  server.on('connection', (raw: Socket) => void raws.push(raw));
  server.on('secureConnection', (tls) => {
    tls.on('error', () => undefined);
    tls.write(Buffer.alloc(sizeBytes, 'argyle'), () => then(tls, raws[0] as Socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const raw of raws) raw.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  const stream = new TcpStream(socket);
  const tls = connectTls({
    socket: stream,
    ca: authority.certificate,
    servername: 'argyle.cluster',
  });
  requireCloseNotify(new SystemHost(), tls, stream);
  t.teardown(() => void tls.destroy());
  let ended = false;
  let failure: Error | undefined;
  let receivedBytes = 0;
  tls.on('end', () => (ended = true));
  tls.on('error', (error) => (failure = error));
  tls.on('data', (bytes: Buffer) => (receivedBytes += bytes.length));
  return {
    tls,
    socket,
    result: async () => {
      await until(() => ended || tls.closed);
      return { ended, failure: failure?.message, receivedBytes };
    },
  };
}

const CUT = 'connection cut without close_notify';

t.test('a stream that ends with close_notify ends', async (t) => {
  const { result } = await receive(t, (tls) => tls.end());
  t.same(await result(), { ended: true, failure: undefined, receivedBytes: SIZE_BYTES });
});

t.test('a stream whose TCP ends alone is broken, after all that came', async (t) => {
  const { result } = await receive(t, (_tls, raw) => raw.destroy());
  t.same(await result(), { ended: false, failure: CUT, receivedBytes: SIZE_BYTES });
});

t.test('a reader who is late is told the same', async (t) => {
  const clean = await receive(t, (tls) => tls.end(), SMALL_BYTES);
  const broken = await receive(t, (_tls, raw) => raw.destroy(), SMALL_BYTES);
  for (const { tls, socket } of [clean, broken]) {
    tls.pause();
    await until(() => socket.readableEnded);
    await new Promise((next) => setImmediate(next));
    tls.resume();
  }
  const receivedBytes = SMALL_BYTES;
  t.same(await clean.result(), { ended: true, failure: undefined, receivedBytes });
  t.same(await broken.result(), { ended: false, failure: CUT, receivedBytes });
});

t.test('after its end was taken, a stream can still be written to', async (t) => {
  let heard = '';
  const { tls, result } = await receive(t, (tls) => {
    tls.on('data', (bytes) => (heard += String(bytes)));
    tls.end();
  });
  t.match(await result(), { ended: true });
  tls.end('last words');
  await until(() => heard === 'last words');
  await until(() => tls.closed);
});

t.test('a stream that is destroyed before its end is reset, one that ended is not', async (t) => {
  for (const how of ['destroy', 'end'] as const) {
    const peers: TLSSocket[] = [];
    let failure: string | undefined;
    const { tls } = await receive(t, (peer) => {
      peer.on('error', (error: NodeJS.ErrnoException) => (failure = error.code));
      peers.push(peer.resume());
    });
    await until(() => peers.length === 1);
    if (how === 'destroy') tls.destroy();
    else tls.destroySoon();
    await until(() => peers[0]?.closed === true || peers[0]?.readableEnded === true);
    t.equal(failure, how === 'destroy' ? 'ECONNRESET' : undefined);
  }
});
