import type { Endpoint } from '@argyle/host';
import { Compiled } from './compiled.ts';

export interface Forged {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Buffer;
}

/** Sends datagrams in anybody's name. It needs the right to raw sockets: run as root. */
export class Forger {
  readonly #forge: Compiled;

  static async make(): Promise<Forger> {
    return new Forger(await Compiled.make('forge'));
  }

  private constructor(forge: Compiled) {
    this.#forge = forge;
  }

  /** In this order; ends when they are sent. */
  async send(datagrams: readonly Forged[]): Promise<void> {
    await this.#forge.run([], datagrams.map(lineOf).join(''));
  }

  remove(): void {
    this.#forge.remove();
  }
}

function lineOf({ from, to, bytes }: Forged): string {
  const ends = `${from.address} ${from.port} ${to.address} ${to.port}`;
  return `${ends} ${bytes.toString('hex')}\n`;
}
