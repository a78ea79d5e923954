import type { Tunnel } from '@argyle/host';

/** The tunnels of a node: those open, and the bytes of all that ever were. */
export class Tunnels {
  readonly #open = new Set<Tunnel>();
  #endedForward = 0;
  #endedBackward = 0;

  get open(): ReadonlySet<Tunnel> {
    return this.#open;
  }

  /** Forward is from clients to destinations. */
  get bytes(): { readonly forward: number; readonly backward: number } {
    let [forward, backward] = [this.#endedForward, this.#endedBackward];
    for (const { forwardBytes, backwardBytes } of this.#open) {
      forward += forwardBytes;
      backward += backwardBytes;
    }
    return { forward, backward };
  }

  add(tunnel: Tunnel): void {
    this.#open.add(tunnel);
    void tunnel.closed.then(({ forwardBytes, backwardBytes }) => {
      this.#open.delete(tunnel);
      this.#endedForward += forwardBytes;
      this.#endedBackward += backwardBytes;
    });
  }
}
