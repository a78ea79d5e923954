import type { MetricFamily } from '@argyle/host';
import type { Meeting } from './bind-port.ts';
import type { HelloRefusal } from './client-hello.ts';
import type { KeepEnd } from './connection-sessions.ts';
import { Counter } from './counter.ts';
import type { HoldEnd } from './hold.ts';
import { FULL_REASONS, type FullReason } from './session-store.ts';
import type { PasswordResult } from './users.ts';

/**
 * Why a connection ended before its TLS handshake did. `closed`: the client left before it had sent
 * a whole ClientHello, as balancers and scanners do that only look. `handshake`: it failed later.
 * `plain`: it spoke SOCKS5 without TLS, from where that is not allowed.
 */
export type ConnectionRefusal =
  HelloRefusal | 'plain' | 'limit' | 'address-limit' | 'timeout' | 'closed' | 'handshake' | 'drain';
export type SocksReplyName =
  | 'succeeded'
  | 'failed'
  | 'not-allowed'
  | 'network-unreachable'
  | 'host-unreachable'
  | 'refused'
  | 'ttl-expired'
  | 'command-not-supported'
  | 'address-type-not-supported';
export type SocksEnd =
  'closed' | 'timeout' | 'malformed' | 'no-method' | 'bad-password' | 'busy' | 'unread';
export type LoginBasis = 'none' | 'password' | 'certificate' | 'lineage';
export type TunnelReason = 'ended' | 'reset' | 'idle' | 'aborted';
export type BindEnd = Meeting['kind'] | 'limit' | 'address-limit' | 'failed';
export type Protocol = 'TLSv1.2' | 'TLSv1.3';

/**
 * Everything that a node counts. Names and labels are what operators' rules are written against.
 */
export class NodeCounters {
  readonly handshakes = new Counter<readonly [resumed: 'true' | 'false', protocol: Protocol]>(
    'tls_handshakes_total',
    'TLS handshakes that ended well.',
    {
      labels: ['resumed', 'protocol'],
      known: [
        ['true', 'TLSv1.3'],
        ['false', 'TLSv1.3'],
        ['true', 'TLSv1.2'],
        ['false', 'TLSv1.2'],
      ],
    },
  );
  readonly fullHandshakes = new Counter<readonly [FullReason]>(
    'tls_full_handshakes_total',
    'TLS handshakes that resumed nothing, by why.',
    { labels: ['reason'], known: FULL_REASONS.map((reason) => [reason]) },
  );
  readonly refused = new Counter<readonly [ConnectionRefusal]>(
    'connections_refused_total',
    'Connections that ended before their TLS handshake did, by why.',
    {
      labels: ['reason'],
      known: [
        ['limit'],
        ['address-limit'],
        ['timeout'],
        ['closed'],
        ['handshake'],
        ['drain'],
        ['plain'],
        ['not-tls'],
        ['not-hello'],
        ['malformed'],
        ['too-long'],
      ],
    },
  );
  readonly plain = new Counter(
    'connections_plain_total',
    'Connections accepted that speak SOCKS5 without TLS.',
    NO_LABELS,
  );
  readonly accepted = new Counter('connections_total', 'Connections accepted.', NO_LABELS);
  readonly sessions = new Counter<readonly [KeepEnd]>(
    'tls_sessions_total',
    'New TLS sessions, by what became of them: done is replicated before the client had it, late ' +
      'is given to the client before every member had it, the others are not in the cache.',
    { labels: ['result'], known: [['done'], ['late'], ['failed'], ['limit'], ['ended']] },
  );
  readonly logins = new Counter<readonly [LoginBasis]>(
    'logins_total',
    'Connections admitted, by what admitted them.',
    { labels: ['basis'], known: [['none'], ['password'], ['certificate'], ['lineage']] },
  );
  readonly loginWrites = new Counter<readonly [HoldEnd]>(
    'login_writes_total',
    'Writes to the cache that a successful login waited for, by how they ended.',
    { labels: ['result'], known: [['done'], ['late'], ['failed']] },
  );
  readonly passwords = new Counter<readonly [PasswordResult]>(
    'password_checks_total',
    'Passwords offered, by result.',
    { labels: ['result'], known: [['accepted'], ['wrong'], ['unknown'], ['busy'], ['left']] },
  );
  readonly replies = new Counter<readonly [SocksReplyName]>(
    'socks_requests_total',
    'SOCKS requests, by the reply that they got.',
    {
      labels: ['reply'],
      known: [['succeeded'], ['not-allowed'], ['refused'], ['host-unreachable']],
    },
  );
  readonly binds = new Counter<readonly [BindEnd]>(
    'binds_total',
    'Requests to BIND that the rules allow, by how the wait for their peers ended; limit, ' +
      'address-limit and failed had no port to wait at.',
    {
      labels: ['end'],
      known: [['met'], ['timeout'], ['left'], ['limit'], ['address-limit'], ['failed']],
    },
  );
  readonly bindStrangers = new Counter<readonly ['address' | 'rule']>(
    'bind_strangers_total',
    'Connections to ports of BIND that were reset: not the peer that was expected, or, where ' +
      'anybody was, not one whom the rules allow.',
    { labels: ['reason'], known: [['address'], ['rule']] },
  );
  readonly socksEnds = new Counter<readonly [SocksEnd]>(
    'socks_unfinished_total',
    'Connections that ended before they had made a request, or made no sense, by why.',
    {
      labels: ['reason'],
      known: [
        ['closed'],
        ['timeout'],
        ['malformed'],
        ['no-method'],
        ['bad-password'],
        ['busy'],
        ['unread'],
      ],
    },
  );
  readonly cut = new Counter<readonly ['lineage' | 'session' | 'user' | 'drain']>(
    'connections_cut_total',
    'Open connections that this node ended, by why.',
    { labels: ['reason'], known: [['lineage'], ['session'], ['user'], ['drain']] },
  );
  readonly tunnels = new Counter<readonly [TunnelReason]>(
    'tunnels_total',
    'Tunnels that have ended, by how.',
    { labels: ['end'], known: [['ended'], ['reset'], ['idle'], ['aborted']] },
  );

  families(): readonly MetricFamily[] {
    return [
      this.handshakes,
      this.fullHandshakes,
      this.refused,
      this.accepted,
      this.plain,
      this.sessions,
      this.logins,
      this.loginWrites,
      this.passwords,
      this.replies,
      this.binds,
      this.bindStrangers,
      this.socksEnds,
      this.cut,
      this.tunnels,
    ].map((counter) => counter.family());
  }
}

const NO_LABELS = { labels: [], known: [[]] } as const;
