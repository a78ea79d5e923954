import type { Endpoint, Host } from '@argyle/host';
import type { ReplicaStatus, SharedCache } from '@argyle/replica';
import type { AssociationStore } from './association-store.ts';
import type { WaitingBind } from './binder.ts';
import type { ConventionalAssociation } from './conventional-associations.ts';
import { wallTime } from './hold.ts';
import { decodeLoginRecord } from './login-record.ts';
import { certificateSubject, readSessionDer } from './session-der.ts';
import { decodeSessionRecord } from './session-record.ts';
import { Table } from './tables.ts';

/** What operators see of the group. */
export function clusterView(status: ReplicaStatus) {
  const { self, members, alone, viewChanges } = status;
  const names = [self, ...members].map(({ name }) => name);
  return { self, view: { members: names.sort(), alone, changes: viewChanges }, members };
}

/** What operators see of the cache; `digest` is equal on equal replicas. */
export function cacheView({ cache }: ReplicaStatus) {
  return cache;
}

export interface SessionRow {
  /** The beginning of its id, and of its lineage. */
  readonly session: string;
  readonly lineage: string;
  readonly protocol: string;
  readonly user: string | undefined;
  readonly certificate: string | undefined;
  readonly ageSeconds: number;
  readonly expiresInSeconds: number;
  /** When the whole lineage ends, whatever is renewed. */
  readonly boundInSeconds: number;
}

/** Enough to tell one from another, and useless to whoever would resume it. */
const SHOWN_BYTES = 6;

/** The cluster's TLS sessions as this node holds them: never the session itself. */
export function sessionsView(host: Host, cache: SharedCache, limit: number): readonly SessionRow[] {
  const now = wallTime(host);
  return cache.list(Table.session, limit).flatMap(({ key, value }) => {
    const record = decodeSessionRecord(value);
    if (!record || record.until <= now) return [];
    const facts = readSessionDer(record.der);
    const login = cache.get(Table.login, record.lineage);
    return {
      session: shortened(key),
      lineage: shortened(record.lineage),
      protocol: facts?.protocol ?? 'unknown',
      user: login && decodeLoginRecord(login.value)?.user,
      certificate: facts?.peerCertificate && certificateSubject(facts.peerCertificate),
      ageSeconds: seconds(now - record.createdAt),
      expiresInSeconds: seconds(record.until - now),
      boundInSeconds: seconds(record.boundAt - now),
    };
  });
}

export interface BindRow {
  /** Where the peer is to connect. */
  readonly endpoint: string;
  readonly user: string | undefined;
  /** Addresses of the peer; empty when anybody may come whom the rules allow. */
  readonly expected: readonly string[];
  readonly ageSeconds: number;
}

/** The ports that wait for their peers. */
export function bindsView(
  host: Host,
  waiting: Iterable<WaitingBind>,
  limit: number,
): readonly BindRow[] {
  const now = host.now();
  return [...waiting].slice(0, limit).map(({ endpoint, user, expected, since }) => ({
    endpoint: formatEndpoint(endpoint),
    user,
    expected,
    ageSeconds: seconds(now - since),
  }));
}

export interface AssociationRow {
  /** The beginning of its id, and of its lineage. */
  readonly association: string;
  readonly lineage: string;
  readonly user: string | undefined;
  readonly suite: string;
  /** The node that serves it; empty before the first payload. */
  readonly owner: string;
  /** From which the owner sends; 0 before the first payload. */
  readonly outgoingPort: number;
  /** The only target, if it may have no other. */
  readonly target: string | undefined;
  readonly expiresInSeconds: number;
}

/** The cluster's associations as this node holds them: never their secrets. */
export function associationsView(
  host: Host,
  store: AssociationStore,
  limit: number,
): readonly AssociationRow[] {
  const now = wallTime(host);
  return store.list(limit).map(({ id, record, expiresAt }) => ({
    association: shortened(Buffer.from(id, 'hex')),
    lineage: shortened(record.lineage),
    user: record.user === '' ? undefined : record.user,
    suite: record.suite,
    owner: record.owner,
    outgoingPort: record.outgoingPort,
    target:
      record.target && formatEndpoint({ address: record.target.host, port: record.target.port }),
    expiresInSeconds: seconds(expiresAt - now),
  }));
}

export interface ConventionalRow {
  /** Where its datagrams come from; without a port before the first. */
  readonly client: string;
  readonly user: string | undefined;
  /** From which this node sends; 0 before the first datagram. */
  readonly outgoingPort: number;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
}

/** The associations of conventional clients at this node. */
export function conventionalView(
  host: Host,
  open: Iterable<ConventionalAssociation>,
  limit: number,
): readonly ConventionalRow[] {
  const now = host.now();
  return [...open].slice(0, limit).map(({ address, client, user, relay, since, usedAt }) => ({
    client: client ? formatEndpoint(client) : address,
    user,
    outgoingPort: relay.outgoingPort ?? 0,
    ageSeconds: seconds(now - since),
    idleSeconds: seconds(now - usedAt),
  }));
}

function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function shortened(bytes: Uint8Array): string {
  return `${Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString('hex')}…`;
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
