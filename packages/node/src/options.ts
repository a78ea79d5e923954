import type { Endpoint } from '@argyle/host';
import type { LocalGroupOptions } from '@argyle/replica';
import type { ReplayPolicy, SuiteName } from '@argyle/secure-udp';

/**
 * All that a node is told; the CLI makes it from a configuration file. Nothing in it is optional.
 */
export interface NodeOptions {
  /** Unique in the cluster, 1 to 64 bytes. */
  readonly name: string;
  readonly listen: Endpoint;
  readonly tls: TlsOptions;
  readonly group: LocalGroupOptions;
  readonly cache: { readonly capacityBytes: number };
  readonly sessions: SessionOptions;
  readonly authentication: AuthenticationOptions;
  readonly rules: readonly Rule[];
  /** Never dialled, whatever the rules say: this node's own admin endpoint and others like it. */
  readonly protectedEndpoints: readonly Endpoint[];
  readonly socks: SocksOptions;
  readonly limits: LimitOptions;
}

export interface TlsOptions {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
  /** PEM; who signs client certificates. */
  readonly ca: string;
  /** PEM certificate revocation lists. */
  readonly crls: readonly string[];
  /** The one name that every node's certificate carries and every client sends. */
  readonly serverName: string;
  readonly clientCertificate: 'none' | 'optional' | 'required';
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface SessionOptions {
  readonly idleMs: number;
  readonly lineageMs: number;
  readonly beforeLoginMs: number;
  readonly beforeLoginPerAddress: number;
  readonly singleUse: boolean;
  /** How long a new session is held back for the replicas' acknowledgement. */
  readonly holdMs: number;
}

export interface AuthenticationOptions {
  /** Any of these admits a user. `certificate`: a verified client certificate is a login. */
  readonly methods: readonly ('none' | 'password' | 'certificate')[];
  /** Entries by user name: see `Users`. */
  readonly users: ReadonlyMap<string, UserEntry>;
}

export interface UserEntry {
  /** `scrypt$N$r$p$salt$hash`, salt and hash in base64url. */
  readonly password: string;
  readonly groups: readonly string[];
}

/** The first rule that matches decides; when none does, the destination is denied. */
export interface Rule {
  readonly action: 'allow' | 'deny';
  /** Empty lists match everything. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly commands: readonly ('connect' | 'bind' | 'udp')[];
  /** CIDR networks, matched against the address that would be dialled or may connect. */
  readonly networks: readonly string[];
  /** Names or `*.suffix`, matched against the requested name. */
  readonly names: readonly string[];
  readonly ports: readonly PortRange[];
}

export interface SocksOptions {
  /** Source networks whose clients may speak SOCKS5 without TLS at the same port. */
  readonly plainFrom: readonly string[];
  readonly bind: BindOptions;
  readonly udp: UdpOptions;
}

export interface BindOptions {
  /** How long a port waits for its peer, from the first reply on. */
  readonly waitMs: number;
  /**
   * Where peers are told to connect, for each family the first; if there is none, the address at
   * which the client's own connection came in.
   */
  readonly addresses: readonly string[];
  /** Undefined lets the system choose. */
  readonly ports: PortRange | undefined;
  /** Ports that may wait at once, in all and for one address of clients. */
  readonly waiting: number;
  readonly waitingPerAddress: number;
}

/**
 * From whom an association takes datagrams, besides those it has sent to (RFC 4787 §5): from
 * everybody, from their addresses, from their addresses and ports.
 */
export type Filtering = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';

export interface UdpOptions {
  /** Conventional clients that came over TLS may send their datagrams in clear. */
  readonly clear: boolean;
  /** Where conventional clients are told to send, as `addresses` of BIND. */
  readonly addresses: readonly string[];
  readonly filtering: Filtering;
  /** For datagrams to targets. Undefined lets the system choose. */
  readonly ports: PortRange | undefined;
  /** Targets that one association remembers; the oldest makes room. */
  readonly destinations: number;
  /** Associations at once, in all and for one address of clients. */
  readonly associations: number;
  readonly associationsPerAddress: number;
  /** A conventional association without any datagram for so long ends. */
  readonly idleMs: number;
  /** The largest datagram of secure UDP that is sent to clients. */
  readonly datagramBytes: number;
  /** Of new associations. */
  readonly suite: SuiteName;
  readonly replay: ReplayPolicy;
  /** How long an association outlives its control connection and its records. */
  readonly graceMs: number;
}

/** Inclusive. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export interface LimitOptions {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly handshakeMs: number;
  readonly greetingMs: number;
  readonly requestMs: number;
  readonly connectMs: number;
  readonly idleMs: number;
  /** How long a drain waits for open tunnels. */
  readonly drainMs: number;
}
