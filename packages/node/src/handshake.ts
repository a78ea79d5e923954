import type { TLSSocket } from 'node:tls';
import type { Host } from '@argyle/host';
import type { Claims } from './claims.ts';
import type { ClientHello } from './client-hello.ts';
import { ConnectionSessions, type SessionsContext } from './connection-sessions.ts';
import type { StandingLogin } from './logins.ts';
import type { NodeCounters, Protocol } from './node-counters.ts';
import { ALPN_PROTOCOL, SecureConnection } from './secure-connection.ts';
import { certificateEnd, readSessionDer } from './session-der.ts';
import type { FullReason, KeptSession } from './session-store.ts';

export interface HandshakeContext extends SessionsContext {
  readonly host: Host;
  readonly counters: NodeCounters;
  /** Present when a session may be used once only. */
  readonly claims: Claims | undefined;
  /** Whether a verified client certificate is a login, and whether a password is. */
  readonly certificatesLogIn: boolean;
  readonly passwordsLogIn: boolean;
}

/** A claim outlives the session's lineage by more than clocks may differ. */
const CLAIM_MARGIN_MS = 600_000;

/**
 * One TLS handshake, from the ClientHello to `secured` or `abandoned`. In TLS 1.2 the library asks
 * for the new session to be kept before it says that the handshake ended, in TLS 1.3 after it.
 */
export class Handshake {
  readonly #context: HandshakeContext;
  readonly #hello: ClientHello;
  readonly #address: string;
  readonly #sessions: ConnectionSessions;
  readonly #collected: { id: Buffer; der: Buffer; done: () => void }[] = [];
  #answer:
    | { readonly kind: 'none' }
    | { readonly kind: 'full'; readonly reason: FullReason }
    | { readonly kind: 'offered'; readonly session: KeptSession } = { kind: 'none' };
  #state: 'running' | 'secure' | 'abandoned' = 'running';

  /** `address`: the client's, as limits count it. */
  constructor(context: HandshakeContext, hello: ClientHello, address: string) {
    this.#context = context;
    this.#hello = hello;
    this.#address = address;
    this.#sessions = new ConnectionSessions(context, address);
  }

  get offersArgyle(): boolean {
    return this.#hello.alpn.includes(ALPN_PROTOCOL);
  }

  /** The session to resume, serialised; undefined makes the handshake full. */
  async answer(): Promise<Uint8Array | undefined> {
    const { store, claims } = this.#context;
    const verdict = store.find(this.#hello);
    if (verdict.kind === 'full') {
      this.#answer = verdict;
      return undefined;
    }
    const { id, record } = verdict;
    if (claims && !(await claims.claim(id, record.boundAt + CLAIM_MARGIN_MS))) {
      this.#answer = { kind: 'full', reason: 'single-use' };
      return undefined;
    }
    this.#answer = { kind: 'offered', session: { id, record } };
    return record.der;
  }

  /**
   * The library holds the session back until `done` is called, and all of them at the first one.
   */
  newSession(id: Buffer, der: Buffer, done: () => void): void {
    this.#collected.push({ id, der, done });
    if (this.#collected.length > 1) return;
    this.#context.host.after(0, () => void this.#keepCollected());
  }

  /** What the library resumed, and nothing that was answered, decides whose connection this is. */
  secured(socket: TLSSocket): SecureConnection {
    const { counters, logins } = this.#context;
    this.#state = 'secure';
    const protocol: Protocol = socket.getProtocol() === 'TLSv1.2' ? 'TLSv1.2' : 'TLSv1.3';
    const resumed =
      socket.isSessionReused() && this.#answer.kind === 'offered'
        ? this.#answer.session
        : undefined;
    counters.handshakes.add([resumed ? 'true' : 'false', protocol]);
    if (resumed) this.#sessions.inherit(resumed, { goesOn: protocol === 'TLSv1.2' });
    else counters.fullHandshakes.add([this.#fullReason()]);

    const certificate = socket.getPeerX509Certificate();
    if (certificate) this.#sessions.endWith(certificateEnd(certificate.raw));
    const login: StandingLogin =
      resumed && this.#context.passwordsLogIn
        ? logins.of(resumed.record.lineage)
        : { kind: 'none' };
    const connection = new SecureConnection(socket, {
      address: this.#address,
      protocol,
      resumed,
      sessions: this.#sessions,
      login,
      certificatesLogIn: this.#context.certificatesLogIn,
    });
    if (connection.known || login.kind === 'standing') void this.#sessions.admit();
    return connection;
  }

  /** The connection closed. */
  abandoned(): void {
    if (this.#state !== 'running') return;
    this.#state = 'abandoned';
    this.#sessions.abandon();
  }

  async #keepCollected(): Promise<void> {
    const collected = this.#collected.splice(0);
    const [first] = collected;
    const facts = first && readSessionDer(first.der);
    // TLS 1.3 makes sessions for connections that it then refuses.
    const refused = facts?.protocol === 'TLSv1.3' && this.#state !== 'secure';
    const shared = facts?.protocol === 'TLSv1.3' || this.#hello.extendedMasterSecret;
    if (facts && shared && !refused) {
      if (facts.peerCertificate) this.#sessions.endWith(certificateEnd(facts.peerCertificate));
      const trust = this.#context.store.trust(this.#hello);
      const sessions = collected.map(({ id, der }) => ({ id, der, trust }));
      const kept = await this.#sessions.keep(sessions);
      this.#context.counters.sessions.add([kept], collected.length);
    }
    for (const { done } of collected) done();
  }

  #fullReason(): FullReason {
    if (this.#answer.kind === 'full') return this.#answer.reason;
    if (this.#answer.kind === 'offered') return 'declined';
    // The library did not ask: it does so only when there is a legacy session id.
    const verdict = this.#context.store.find(this.#hello);
    return verdict.kind === 'full' ? verdict.reason : 'declined';
  }
}
