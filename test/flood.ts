import type { Endpoint } from '@argyle/host';
import { Compiled } from './compiled.ts';

/** One kind of datagram in a flood. */
export interface FloodKind {
  /** Without spaces; several with one label are counted together. */
  readonly label: string;
  readonly bytes: Buffer;
  /** Drawn anew for each: from the first to before the second. */
  readonly drawn?: readonly [number, number];
  /** Each ends at a random place. */
  readonly cut?: boolean;
}

/** What the system took, and what came back for all of it. */
export interface Flooded {
  readonly sent: ReadonlyMap<string, number>;
  readonly sentBytes: number;
  readonly answers: number;
  readonly answeredBytes: number;
}

/** Noise from another process, whose pace no event loop of a test sets: kinds that take turns. */
export class Flood {
  readonly #noise: Compiled;

  static async make(): Promise<Flood> {
    return new Flood(await Compiled.make('noise'));
  }

  private constructor(noise: Compiled) {
    this.#noise = noise;
  }

  async run(
    to: Endpoint,
    { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
    kinds: readonly FloodKind[],
  ): Promise<Flooded> {
    const args = [to.address, `${to.port}`, `${perSecond}`, `${seconds}`];
    const lines = (await this.#noise.run(args, kinds.map(lineOf).join(''))).trim().split('\n');
    const rows = lines.map((line) => line.split(' '));
    const [, answers, answeredBytes] = rows.pop() ?? [];
    const sent = new Map<string, number>();
    for (const [label = '', count] of rows) sent.set(label, (sent.get(label) ?? 0) + Number(count));
    return {
      sent,
      sentBytes: rows.reduce((sum, [, , bytes]) => sum + Number(bytes), 0),
      answers: Number(answers),
      answeredBytes: Number(answeredBytes),
    };
  }

  remove(): void {
    this.#noise.remove();
  }
}

function lineOf({ label, bytes, drawn: [from, to] = [0, 0], cut = false }: FloodKind): string {
  return `${label} ${from} ${to} ${cut ? 1 : 0} ${bytes.toString('hex')}\n`;
}
