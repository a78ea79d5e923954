import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { LOOPBACK } from './peer.ts';

/** What a relay is told, as JSON in its only argument. */
export interface BareDgramOptions {
  readonly role: 'near' | 'far';
  /** Where it listens, TCP and UDP. */
  readonly port: number;
  /** Of the far one. */
  readonly farPort: number;
}

/** Up to the payload, with an IPv4 address (RFC 1928 §7). */
const HEADER_BYTES = 10;
const NO_LOGIN = Buffer.of(5, 0);
/** Before the port, in the reply to UDP ASSOCIATE. */
const DONE = Buffer.of(5, 0, 0, 1, 127, 0, 0, 1);
const QUIET = (): undefined => undefined;

if (import.meta.main) await serve(JSON.parse(process.argv[2] ?? '{}') as BareDgramOptions);

/**
 * A relay of datagrams in two processes for one association: read, send, and nothing else. No
 * cipher, no checks, no second user: what is left is what Node's sockets cost.
 */
async function serve({ role, port, farPort }: BareDgramOptions): Promise<void> {
  const socket = await open(port);
  if (role === 'near') await carry(socket, farPort);
  else relay(socket);
  const listener = createServer((tcp) => {
    tcp.on('error', QUIET);
    tcp.once('data', () => {
      tcp.write(NO_LOGIN);
      tcp.once('data', () => tcp.write(Buffer.concat([DONE, Buffer.of(port >> 8, port & 0xff)])));
    });
  });
  listener.listen(port, LOOPBACK);
}

async function carry(local: Socket, farPort: number): Promise<void> {
  const far = await open(0);
  const connected = once(far, 'connect');
  far.connect(farPort, LOOPBACK);
  await connected;
  let application = 0;
  local.on('message', (datagram, from) => {
    application = from.port;
    far.send(datagram);
  });
  far.on('message', (datagram) => local.send(datagram, application, LOOPBACK));
}

function relay(socket: Socket): void {
  let near = 0;
  let header = Buffer.alloc(HEADER_BYTES);
  const outgoing = createSocket({ type: 'udp4' });
  outgoing.on('message', (payload) => {
    socket.send(Buffer.concat([header, payload]), near, LOOPBACK);
  });
  outgoing.on('error', QUIET);
  let connected = false;
  socket.on('message', (datagram, from) => {
    near = from.port;
    if (connected) {
      outgoing.send(datagram.subarray(HEADER_BYTES));
      return;
    }
    header = Buffer.from(datagram.subarray(0, HEADER_BYTES));
    const target = header.subarray(4, 8).join('.');
    // The first ones are lost.
    outgoing.connect(header.readUInt16BE(8), target, () => (connected = true));
  });
}

async function open(port: number): Promise<Socket> {
  // All addresses here are numbers: nothing is to be looked up.
  const lookup = (name: string, _family: unknown, done: (e: null, a: string, f: 4) => void) =>
    done(null, name, 4);
  const socket = createSocket({ type: 'udp4', lookup: lookup as never });
  socket.on('error', QUIET);
  const listening = once(socket, 'listening');
  socket.bind(port, LOOPBACK);
  await listening;
  return socket;
}
