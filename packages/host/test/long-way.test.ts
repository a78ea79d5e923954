import { Duplex } from 'node:stream';
import t from 'tap';
import type { CarriedTunnel } from '../src/carried-tunnel.ts';
import { Carrier } from '../src/carrier.ts';
import { SystemHost } from '../src/system.ts';
import { MIB, NEVER, REQUEST, SUCCESS } from './carried.ts';

/** One end of a connection: what it says arrives at the other at the next half round trip. */
class End extends Duplex {
  readonly said: Buffer[] = [];

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.said.push(Buffer.from(bytes));
    done();
  }
}

/** What the tunnel brings, and how much of it. */
class Sink extends Duplex {
  takenBytes = 0;

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.takenBytes += bytes.length;
    done();
  }
}

/** Says so many bytes, as fast as it is read. */
class Source extends Duplex {
  #leftBytes: number;

  constructor(leftBytes: number) {
    super();
    this.#leftBytes = leftBytes;
  }

  override _read(): void {
    const bytes = Math.min(this.#leftBytes, 64 * 1024);
    this.#leftBytes -= bytes;
    this.push(bytes === 0 ? null : Buffer.alloc(bytes));
  }

  override _write(_bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

t.test('over a long way a tunnel soon has megabytes under way', async (t) => {
  const host = new SystemHost();
  const [near, far] = [new End(), new End()];
  const asked = Promise.withResolvers<CarriedTunnel>();
  const lost = () => undefined;
  const client = new Carrier(host, near, { lost });
  new Carrier(host, far, { lost, requested: (tunnel) => asked.resolve(tunnel) });
  const halfRound = async () => {
    await turns(200);
    const [there, back] = [near.said.splice(0), far.said.splice(0)];
    for (const [end, parts] of [
      [far, there],
      [near, back],
    ] as const) {
      // One after another, as they would come: half a window is granted before the rest is here.
      for (const bytes of parts) {
        end.push(bytes);
        await turns(4);
      }
    }
  };

  const asking = client.request(REQUEST);
  const sink = new Sink();
  await halfRound();
  const answering = await asked.promise;
  answering.answer(SUCCESS);
  answering.join(new Source(32 * MIB), NEVER);
  asking.join(sink, NEVER);
  let halves = 0;
  for (; sink.takenBytes < 32 * MIB && halves < 1_000; halves += 1) await halfRound();
  t.equal(sink.takenBytes, 32 * MIB);
  t.ok(halves <= 30, `32 MiB in ${halves / 2} round trips`);
  for (const tunnel of [asking, answering]) tunnel.abort();
  for (const end of [near, far]) end.destroy();
});
