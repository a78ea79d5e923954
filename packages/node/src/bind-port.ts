import { createServer, type Server, type Socket } from 'node:net';
import type { Endpoint, Host } from '@argyle/host';
import { parseAddress, type Network } from '@argyle/host';
import type { PortRange } from './options.ts';
import { portCandidates } from './port-candidates.ts';

/** `timeout`: nobody came. `left`: who asked for the port did not wait. */
export type Meeting =
  | { readonly kind: 'met'; readonly socket: Socket; readonly peer: Endpoint }
  | { readonly kind: 'timeout' | 'left' };

export interface BindPortOptions {
  /** Where to listen; on all addresses of its family if it is none of this machine. */
  readonly address: string;
  /** Undefined lets the system choose. */
  readonly ports: PortRange | undefined;
  readonly waitMs: number;
  /** Whoever it is not gets a reset, and the port goes on waiting. */
  readonly accepts: (peer: Network) => boolean;
  /** Closes the port before it has met anybody. */
  readonly signal: AbortSignal;
}

/** A port that waits for one peer, and is closed as soon as it has come, or is late. */
export class BindPort {
  readonly port: number;
  /** Ends with the port. Never rejects. The socket is paused. */
  readonly met: Promise<Meeting>;

  /** Ends when it listens; with an error's code when no port can be had. */
  static async open(host: Host, options: BindPortOptions): Promise<BindPort | string> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    const failure = await listen(server, options, host.random(4));
    if (failure !== undefined) return failure;
    return new BindPort(host, server, options);
  }

  private constructor(host: Host, server: Server, { waitMs, accepts, signal }: BindPortOptions) {
    this.port = portOf(server);
    this.met = new Promise((resolve) => {
      const end = (meeting: Meeting) => {
        cancel();
        signal.removeEventListener('abort', left);
        server.close();
        resolve(meeting);
      };
      const left = () => end({ kind: 'left' });
      const cancel = host.after(waitMs, () => end({ kind: 'timeout' }));
      // A peer that could not be accepted, for want of descriptors, may come again.
      server.on('error', () => undefined);
      server.on('connection', (socket) => {
        socket.on('error', () => undefined);
        const { remoteAddress = '', remotePort = 0 } = socket;
        const peer = parseAddress(remoteAddress);
        // One may have been accepted by the system before the port was closed.
        if (!server.listening || !peer || !accepts(peer)) socket.resetAndDestroy();
        else end({ kind: 'met', socket, peer: { address: remoteAddress, port: remotePort } });
      });
      if (signal.aborted) left();
      else signal.addEventListener('abort', left, { once: true });
    });
  }
}

async function listen(
  server: Server,
  { address, ports, signal }: BindPortOptions,
  random: Uint8Array,
): Promise<string | undefined> {
  let host = address;
  for (const port of portCandidates(ports, random)) {
    let failure = await listenAt(server, host, port);
    if (failure === 'EADDRNOTAVAIL' && host === address) {
      host = address.includes(':') ? '::' : '0.0.0.0';
      failure = await listenAt(server, host, port);
    }
    if (failure !== 'EADDRINUSE' || signal.aborted) return failure;
  }
  return 'EADDRINUSE';
}

/** An error's code; undefined when it listens. */
function listenAt(server: Server, host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => {
      server.off('listening', listening);
      resolve(error.code ?? 'EINVAL');
    };
    const listening = () => {
      server.off('error', failed);
      resolve(undefined);
    };
    server.once('error', failed).once('listening', listening);
    server.listen({ host, port, ipv6Only: true });
  });
}

function portOf(server: Server): number {
  const own = server.address();
  return typeof own === 'object' && own ? own.port : 0;
}
