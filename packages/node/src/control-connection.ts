import { FrameStream } from '@argyle/host';
import {
  decodeControl,
  encodeControlPayload,
  encodeEnded,
  encodeGrant,
  type EndReason,
  type Grant,
} from '@argyle/secure-udp';

export interface ControlHandlers {
  /** A datagram of the client's, copied. */
  payload(payload: Buffer): void;
  /** The client says nothing more. */
  ended(): void;
  /** All is over, in whichever way. */
  closed(): void;
}

/** The TLS side of an association at a node (secure-udp's PROTOCOL.md, "Control connection"). */
export class ControlConnection {
  /** To be joined to the client's tunnel. */
  readonly stream: FrameStream;
  #endSaid = false;

  constructor(handlers: ControlHandlers) {
    this.stream = new FrameStream({
      frame: (bytes) => {
        const message = decodeControl(bytes);
        if (message?.kind === 'payload') handlers.payload(Buffer.from(message.payload));
        else this.stream.destroy();
      },
      ended: (truncated) => {
        if (truncated) this.stream.destroy();
        else {
          handlers.ended();
          this.end();
        }
      },
    });
    this.stream.once('close', () => handlers.closed());
  }

  /** Whether this side was the first to say nothing more. */
  get endSaid(): boolean {
    return this.#endSaid;
  }

  grant(grant: Grant): void {
    this.stream.sendFrame(encodeGrant(grant));
  }

  /** False if too much waits already. */
  sendPayload(datagram: Uint8Array): boolean {
    return this.stream.sendFrame(encodeControlPayload(datagram));
  }

  /** It is over: nothing more of the client's is of use. */
  over(reason: EndReason): void {
    this.stream.sendFrame(encodeEnded(reason));
    this.end();
  }

  /** What the client says is still read. */
  end(): void {
    this.#endSaid = true;
    this.stream.sendEnd();
  }
}
