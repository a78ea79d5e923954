import { FrameStream, FRAME_BYTES_MAX, type Cancel, type CarriedTunnel } from '@argyle/host';
import { decodeControl, encodeControlPayload, type ControlMessage } from '@argyle/secure-udp';

export interface ControlHandlers {
  message(message: ControlMessage): void;
  /** The node says nothing more, because it drains; it still reads. */
  left(): void;
  /** It broke, or ended; once, unless it was closed here. */
  lost(): void;
}

/** Beyond this a node that does not answer our END is left to its own time-outs. */
const END_MS = 1_000;

/** One control connection of an association (PROTOCOL.md of secure-udp): a tunnel with frames. */
export class Control {
  /** When nothing of it is left. */
  readonly closed: Promise<unknown>;
  readonly #tunnel: CarriedTunnel;
  readonly #stream: FrameStream;
  readonly #handlers: ControlHandlers;
  #over = false;

  /** The node has answered with a success. */
  constructor(tunnel: CarriedTunnel, handlers: ControlHandlers) {
    this.#tunnel = tunnel;
    this.#handlers = handlers;
    this.closed = tunnel.closed;
    this.#stream = new FrameStream({
      frame: (bytes) => this.#frame(bytes),
      ended: (truncated) => {
        if (truncated) tunnel.abort();
        else if (!this.#over) handlers.left();
      },
    });
    this.#stream.once('close', () => {
      if (!this.#over) handlers.lost();
      this.#over = true;
    });
    tunnel.join(this.#stream, { idleMs: Infinity });
  }

  /** Copies it. False if it was not sent: too much waits, or the connection is lost. */
  sendPayload(payload: Uint8Array): boolean {
    return this.#stream.sendFrame(encodeControlPayload(payload));
  }

  /** Ends the association, or, after `left`, no more than this connection. */
  end(after: (delayMs: number, wake: () => void) => Cancel): void {
    this.#over = true;
    this.#stream.sendEnd();
    const cancel = after(END_MS, () => this.#tunnel.abort());
    void this.closed.then(cancel);
  }

  /** To the node it looks as if the network had broken it. */
  abort(): void {
    this.#over = true;
    this.#tunnel.abort();
  }

  #frame(bytes: Buffer): void {
    if (this.#over) return;
    const message = decodeControl(bytes);
    if (message) this.#handlers.message(message);
    else this.#tunnel.abort();
  }
}

/** The largest payload that fits into a frame. */
export const CONTROL_PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - 1;
