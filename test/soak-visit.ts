import { once } from 'node:events';
import type { Socket } from 'node:net';
import { VISIT_MS, type Conversation } from './soak-conversation.ts';

/** What an application does through a tunnel, once. */
export type Deed =
  /** Asks, hears, and leaves. */
  | { readonly kind: 'touch' }
  /** Reads so much to its end. */
  | { readonly kind: 'fetch'; readonly sizeBytes: number }
  /** Says nothing for a time, or until it is woken, and is heard all the same. */
  | { readonly kind: 'idle'; readonly wait: () => Promise<void> }
  /** Leaves in the middle of a download, without a word. */
  | { readonly kind: 'cut'; readonly sizeBytes: number }
  /** Asks for a destination where nobody listens, and is told so. */
  | { readonly kind: 'nobody'; readonly port: number };

/** How a visit gets its stream; it ends when the stream is greeted and takes a request. */
export interface Way {
  /** `reached` is told where the visit is before anything can go wrong there. */
  open(reached: (where: string) => void): Promise<Conversation>;
}

/** RFC 1928. */
const CONNECT_LOOPBACK = [5, 1, 0, 1, 127, 0, 0, 1];
const REPLY_BYTES = 10;
const SUCCEEDED = 0;
const REFUSED = 5;

const LEAVE_MS = 5_000;
const PATTERN = Buffer.from(Array.from({ length: 65_536 }, (_, at) => (at * 31) % 251));

/** The destination's side: `p` is answered with a word, `g` and a length with so many bytes. */
export function serveDestination(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.on('data', (asked: Buffer) => {
    if (asked[0] === 0x70) socket.write('pong');
    else if (asked.length === 5) send(socket, asked.readUInt32BE(1));
    else socket.destroy();
  });
}

/** From the first packet to the close of the stream; rejects when it was not as asked. */
export async function visit(
  way: Way,
  deed: Deed,
  port: number,
  observed: { reached: (where: string) => void; opened: () => void },
): Promise<void> {
  const conversation = await way.open(observed.reached);
  const { socket } = conversation;
  try {
    conversation.limit(VISIT_MS);
    const wanted = deed.kind === 'nobody' ? deed.port : port;
    conversation.say(Buffer.from([...CONNECT_LOOPBACK, wanted >> 8, wanted & 0xff]));
    const code = (await conversation.read(REPLY_BYTES))[1];
    const expected = deed.kind === 'nobody' ? REFUSED : SUCCEEDED;
    if (code !== expected) throw new Error(`reply ${code}, wanted ${expected}`);
    observed.opened();
    await perform(conversation, deed);
    if (deed.kind === 'cut') return;
    const closed = once(socket, 'close');
    conversation.limit(LEAVE_MS);
    socket.end();
    if (!socket.closed) await closed;
  } finally {
    conversation.limit(undefined);
    socket.destroy();
  }
}

async function perform(conversation: Conversation, deed: Deed): Promise<void> {
  if (deed.kind === 'touch') await ping(conversation);
  else if (deed.kind === 'fetch') await fetch(conversation, deed.sizeBytes, deed.sizeBytes);
  else if (deed.kind === 'cut') await fetch(conversation, deed.sizeBytes, deed.sizeBytes / 2);
  else if (deed.kind === 'idle') {
    await ping(conversation);
    conversation.limit(undefined);
    await Promise.race([deed.wait(), conversation.lost]);
    conversation.limit(VISIT_MS);
    await ping(conversation);
  }
}

async function ping(conversation: Conversation): Promise<void> {
  conversation.say(Buffer.from('p'));
  const answer = (await conversation.read(4)).toString();
  if (answer !== 'pong') throw new Error('another answer than the destination’s');
}

/** Asks for `sizeBytes` and reads `readBytes` of them at least. */
async function fetch(conversation: Conversation, sizeBytes: number, readBytes: number) {
  const request = Buffer.from('g\0\0\0\0');
  request.writeUInt32BE(sizeBytes, 1);
  conversation.say(request);
  for (let at = 0; at < readBytes;) {
    const chunk = await conversation.next();
    if (!isPattern(chunk, at)) throw new Error(`wrong bytes after ${at}`);
    at += chunk.length;
    if (at > sizeBytes) throw new Error(`${at - sizeBytes} bytes too many`);
  }
}

function send(socket: Socket, sizeBytes: number): void {
  let at = 0;
  const more = () => {
    while (at < sizeBytes) {
      const part = PATTERN.subarray(at % PATTERN.length).subarray(0, sizeBytes - at);
      at += part.length;
      if (!socket.write(part)) {
        socket.once('drain', more);
        return;
      }
    }
  };
  more();
}

function isPattern(chunk: Buffer, from: number): boolean {
  for (let done = 0; done < chunk.length;) {
    const wanted = PATTERN.subarray((from + done) % PATTERN.length);
    const part = chunk.subarray(done, done + wanted.length);
    if (!part.equals(wanted.subarray(0, part.length))) return false;
    done += part.length;
  }
  return true;
}
