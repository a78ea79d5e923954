import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

/** A TLS connection to a node, and the sessions that it was given. */
export interface TlsVisit {
  readonly reused: boolean;
  readonly protocol: string;
  readonly sessions: readonly Buffer[];
}

/** Connects, waits for `tickets` sessions, and leaves. */
export function visit(
  port: number,
  ca: string,
  options: ConnectionOptions = {},
  tickets = 1,
): Promise<TlsVisit> {
  return new Promise((resolve, reject) => {
    const sessions: Buffer[] = [];
    const socket: TLSSocket = connect({
      host: '127.0.0.1',
      port,
      ca,
      servername: 'argyle.cluster',
      ...options,
    });
    socket.setTimeout(5_000, () => socket.destroy(new Error('no session within 5 s')));
    socket.on('error', reject);
    const leave = () => {
      const protocol = socket.getProtocol() ?? '';
      resolve({ reused: socket.isSessionReused(), protocol, sessions });
      socket.destroy();
    };
    socket.on('session', (session: Buffer) => {
      sessions.push(session);
      if (sessions.length >= tickets) leave();
    });
    // A resumed session of TLS 1.2 stays the same: there is no other to wait for.
    socket.on('secureConnect', () => {
      if (socket.isSessionReused() && socket.getProtocol() === 'TLSv1.2') leave();
    });
  });
}
