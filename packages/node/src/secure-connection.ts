import type { TLSSocket } from 'node:tls';
import type { Admission, ClientConnection } from './client-connection.ts';
import type { ConnectionSessions } from './connection-sessions.ts';
import type { HoldEnd } from './hold.ts';
import type { StandingLogin } from './logins.ts';
import type { Protocol } from './node-counters.ts';
import type { KeptSession } from './session-store.ts';

/** RFC 7301: our client, which shares no TLS session among users. */
export const ALPN_PROTOCOL = 'argyle/1';

/** A client whose TLS handshake has ended. */
export class SecureConnection implements ClientConnection {
  readonly socket: TLSSocket;
  /** As limits count it. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly resumed: KeptSession | undefined;
  readonly speaksArgyle: boolean;
  /** Who it is before it has said anything: by its certificate, or by its lineage's login. */
  readonly known: Admission | undefined;
  readonly #sessions: ConnectionSessions;
  #admission: Admission | undefined;

  constructor(
    socket: TLSSocket,
    facts: {
      address: string;
      protocol: Protocol;
      resumed: KeptSession | undefined;
      sessions: ConnectionSessions;
      login: StandingLogin;
      certificatesLogIn: boolean;
    },
  ) {
    this.socket = socket;
    this.address = facts.address;
    this.protocol = facts.protocol;
    this.resumed = facts.resumed;
    this.#sessions = facts.sessions;
    this.speaksArgyle = socket.alpnProtocol === ALPN_PROTOCOL;
    this.known = this.#knownBy(facts.login, facts.certificatesLogIn);
  }

  get lineage(): Uint8Array {
    return this.#sessions.lineage;
  }

  /** The sessions that it resumed or made. */
  get sessionIds(): readonly Uint8Array[] {
    const made = this.#sessions.kept.map(({ id }) => id);
    return this.resumed ? [this.resumed.id, ...made] : made;
  }

  /** Whoever it is counted as now; undefined before it was admitted. */
  get admission(): Admission | undefined {
    return this.#admission;
  }

  exported(sizeBytes: number, label: string): Uint8Array {
    return this.socket.exportKeyingMaterial(sizeBytes, label, Buffer.alloc(0));
  }

  /** Ends when the members have the login and its sessions, or the bound has passed. */
  admit(admission: Admission): Promise<HoldEnd> {
    this.#admission = admission;
    const { basis, user } = admission;
    if (basis !== 'password' || user === undefined) return this.#sessions.admit();
    return this.#sessions.admit({ user, standsIn: this.speaksArgyle });
  }

  /** Ends it at once, with all that goes through it. */
  cut(): void {
    this.socket.destroy();
  }

  #knownBy(login: StandingLogin, certificatesLogIn: boolean): Admission | undefined {
    // Other programs share one TLS session among many users, so it proves nobody there.
    if (login.kind === 'standing' && login.standsIn && this.speaksArgyle) {
      return { basis: 'lineage', user: login.user };
    }
    const user = certificatesLogIn ? verifiedUser(this.socket) : undefined;
    return user === undefined ? undefined : { basis: 'certificate', user };
  }
}

/**
 * The common name, if there is a certificate *and* it was verified: `authorized` alone is not it.
 */
function verifiedUser(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate || !socket.authorized) return undefined;
  const name: unknown = certificate.toLegacyObject().subject.CN;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
