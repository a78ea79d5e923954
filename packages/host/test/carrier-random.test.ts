/** Tunnels that do what they like, side by side: what arrives is what was sent, in its order. */
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { CarriedTunnel } from '../src/carried-tunnel.ts';
import { Carrier } from '../src/carrier.ts';
import { SystemHost } from '../src/system.ts';
import { Loopback } from './loopback.ts';

const SEED = Number(process.env['ARGYLE_TEST_SEED'] ?? 1);
const SEEDS = Number(process.env['ARGYLE_TEST_SEEDS'] ?? 6);
const TUNNELS = 30;
const SENT_BYTES_MAX = 1_000_000;
const SUCCESS = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
const FAILURE = Buffer.of(5, 1, 0, 1, 0, 0, 0, 0, 0, 0);
const NEVER = { idleMs: Infinity };
t.setTimeout(120_000);

/** Of Tommy Ettinger (Mulberry32). */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e37_79b9);
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  /** Mostly small, now and then as long as it may be. */
  size(max: number): number {
    return this.below(1 + this.below(1 + this.below(max)));
  }
}

const random = new Random(7);
const WORDS = Buffer.from(
  Uint8Array.from({ length: SENT_BYTES_MAX + 256 * TUNNELS }, () => random.below(256)),
);

/** What one end of a tunnel says. */
interface Speech {
  readonly bytes: Buffer;
  /** Broken off after so many bytes. */
  readonly resetAt: number;
}

/** What the other end heard. */
interface Heard {
  readonly bytes: Buffer;
  readonly ended: boolean;
}

function speech(random: Random, index: number): Speech {
  const bytes = WORDS.subarray(256 * index, 256 * index + random.size(SENT_BYTES_MAX));
  return { bytes, resetAt: random.below(5) === 0 ? random.below(bytes.length + 1) : Infinity };
}

async function say(random: Random, socket: Socket, { bytes, resetAt }: Speech): Promise<void> {
  for (let at = 0; at < bytes.length && at < resetAt && !socket.destroyed;) {
    const part = bytes.subarray(at, at + 1 + random.size(200_000));
    at += part.length;
    socket.write(part);
    if (random.below(3) === 0) await turn();
    if (socket.writableNeedDrain) await Promise.race([drained(socket), closed(socket)]);
  }
  if (resetAt < Infinity) socket.resetAndDestroy();
  else if (!socket.destroyed) socket.end();
}

async function hear(random: Random, socket: Socket): Promise<Heard> {
  const parts: Buffer[] = [];
  let ended = false;
  const over = Promise.race([
    closed(socket),
    new Promise<void>((resolve) =>
      socket.once('end', () => {
        ended = true;
        resolve();
      }),
    ),
  ]);
  socket.on('data', (bytes: Buffer) => {
    parts.push(bytes);
    if (random.below(8) > 0) return;
    socket.pause();
    void turn(random.below(20)).then(() => socket.resume());
  });
  socket.resume();
  await over;
  return { bytes: Buffer.concat(parts), ended };
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('drain', () => resolve()));
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

async function turn(turns = 1): Promise<void> {
  for (let left = turns; left > 0; left -= 1) await new Promise(setImmediate);
}

class Ordeal {
  readonly #loopback: Loopback;
  readonly #random: Random;
  readonly #test: Test;
  readonly tunnels: CarriedTunnel[] = [];

  constructor(test: Test, loopback: Loopback, random: Random) {
    this.#test = test;
    this.#loopback = loopback;
    this.#random = random;
  }

  async requested(tunnel: CarriedTunnel, far: Speech): Promise<Heard | undefined> {
    this.tunnels.push(tunnel);
    await turn(this.#random.below(4));
    const fate = this.#random.below(12);
    if (fate === 0) tunnel.abort();
    if (fate === 1) tunnel.answer(FAILURE);
    if (fate <= 1) return undefined;
    const [held, peer] = await this.#loopback.pair();
    tunnel.answer(SUCCESS);
    const heard = hear(this.#random, peer);
    void say(this.#random, peer, far);
    tunnel.join(held, NEVER);
    return heard;
  }

  async ask(carrier: Carrier, index: number, near: Speech): Promise<Heard | undefined> {
    await turn(this.#random.below(60));
    const tunnel = carrier.request(Buffer.of(index));
    this.tunnels.push(tunnel);
    const reply = await tunnel.replied;
    const [held, peer] = await this.#loopback.pair();
    if (reply?.[1] !== 0 || this.#random.below(12) === 0) {
      tunnel.abort();
      peer.destroy();
      held.destroy();
      return undefined;
    }
    const heard = hear(this.#random, peer);
    void say(this.#random, peer, near);
    await turn(this.#random.below(3));
    tunnel.join(held, NEVER);
    return heard;
  }

  judge(title: string, said: Speech, heard: Heard | undefined): void {
    if (!heard) return;
    const { bytes, ended } = heard;
    if (!said.bytes.subarray(0, bytes.length).equals(bytes)) this.#test.fail(`${title} is garbled`);
    if (!ended) return;
    if (bytes.length !== said.bytes.length) this.#test.fail(`${title} ends clean, and too early`);
    if (said.resetAt < Infinity) this.#test.fail(`${title} ends clean, and was reset`);
  }
}

async function round(test: Test, loopback: Loopback, seed: number): Promise<void> {
  const random = new Random(seed);
  const near = Array.from({ length: TUNNELS }, (_, index) => speech(random, index));
  const far = Array.from({ length: TUNNELS }, (_, index) => speech(random, index));
  const [left, right] = await loopback.pair();
  const ordeal = new Ordeal(test, loopback, random);
  const losses: string[] = [];
  const answered: Promise<unknown>[] = [];
  const host = new SystemHost();
  const asking = new Carrier(host, left, { lost: (reason) => losses.push(reason) });
  new Carrier(host, right, {
    lost: (reason) => losses.push(reason),
    requested: (tunnel, request) => {
      const index = request[0]!;
      const heard = ordeal.requested(tunnel, far[index]!);
      const judge = (heard: Heard | undefined) =>
        ordeal.judge(`seed ${seed}: ${index} to far`, near[index]!, heard);
      answered.push(heard.then(judge));
    },
  });
  const cut = random.below(6) === 0;
  const asked = near.map(async (speech, index) => {
    const heard = await ordeal.ask(asking, index, speech);
    ordeal.judge(`seed ${seed}: ${index} to near`, far[index]!, heard);
    const whole = speech.resetAt === Infinity && far[index]!.resetAt === Infinity;
    if (heard && whole && !cut && !heard.ended) test.fail(`seed ${seed}: ${index} broke off`);
  });
  if (cut) void turn(random.below(200)).then(() => left.destroyed || left.resetAndDestroy());
  await Promise.all(asked);
  await Promise.all(answered);
  const ends = await Promise.all(ordeal.tunnels.map(({ closed }) => closed));
  if (!cut) {
    test.strictSame(losses, [], `seed ${seed}: ${ends.length} ends`);
    test.equal(asking.size, 0);
    test.notOk(left.isPaused() || right.isPaused(), 'both go on reading');
  }
  left.destroy();
  right.destroy();
  await Promise.all([closed(left), closed(right)]);
}

t.test(`${SEEDS} seeds of ${TUNNELS} tunnels`, async (t) => {
  const loopback = await Loopback.open(t);
  for (let seed = SEED; seed < SEED + SEEDS; seed += 1) await round(t, loopback, seed);
  while (loopback.open > 0) await turn();
  t.equal(loopback.open, 0, 'every socket is closed');
});
