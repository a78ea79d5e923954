export type Outcome =
  /** A tunnel was opened; of a BIND, when the peer has come. */
  | 'connected'
  /** A node answered with a failure, which was passed on. */
  | 'refused'
  /** No node answered. */
  | 'failed'
  /** No answer within the request's time. */
  | 'timeout'
  /** A command that the client does not serve. */
  | 'unsupported'
  /** Not SOCKS5, or no method that the client has. */
  | 'malformed'
  /** The application left. */
  | 'abandoned'
  /** The application had not sent its greeting and request in time. */
  | 'greeting-timeout'
  /** More connections than the limit. */
  | 'excess';

export interface HandshakeCount {
  /** Its label: the same again when an address comes back. */
  readonly node: string;
  readonly resumed: boolean;
  readonly protocol: string;
  count: number;
}

/** There may be ever new addresses: then the oldest count is given up. */
const HANDSHAKE_COUNTS_MAX = 512;

/** What has happened since the client started. */
export class Counters {
  readonly handshakes: HandshakeCount[] = [];
  readonly logins = { password: 0, session: 0, none: 0 };
  readonly requests: Record<Outcome, number> = {
    connected: 0,
    refused: 0,
    failed: 0,
    timeout: 0,
    unsupported: 0,
    malformed: 0,
    abandoned: 0,
    'greeting-timeout': 0,
    excess: 0,
  };
  /** A request whose node was lost before it answered. */
  retries = 0;
  /** A request that another node was asked as well, because the first was silent. */
  hedges = 0;
  readonly lookUps = { answered: 0, failed: 0 };

  handshake({ node, resumed, protocol }: Omit<HandshakeCount, 'count'>): void {
    const known = this.handshakes.find(
      (row) => row.node === node && row.resumed === resumed && row.protocol === protocol,
    );
    if (known) known.count += 1;
    else this.handshakes.push({ node, resumed, protocol, count: 1 });
    if (this.handshakes.length > HANDSHAKE_COUNTS_MAX) this.handshakes.shift();
  }
}
