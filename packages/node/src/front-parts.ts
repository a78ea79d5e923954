import { Pulse, type Host, type Log } from '@argyle/host';
import type { SharedCache } from '@argyle/replica';
import { BeforeLogin } from './before-login.ts';
import { Claims } from './claims.ts';
import { ConnectionTable } from './connection-table.ts';
import { Logins } from './logins.ts';
import { NodeCounters } from './node-counters.ts';
import type { NodeOptions } from './options.ts';
import { PlainSources } from './plain-connection.ts';
import { SessionStore } from './session-store.ts';
import type { FrontContext } from './tls-front.ts';
import { TrustContext } from './trust-context.ts';
import { Users } from './users.ts';

export type FrontSettings = Pick<
  NodeOptions,
  'tls' | 'sessions' | 'authentication' | 'socks' | 'limits'
>;
export type FrontParts = Omit<FrontContext, 'secured' | 'plain'> & { readonly users: Users };

/** Seldom enough to cost nothing, also with thousands of connections. */
const PULSE_MS_MAX = 15_000;
const PULSES_PER_IDLE = 4;

/** What a TLS front works with. Throws a NodeError when the options hold something that is none. */
export function createFrontParts(
  host: Host,
  log: Log,
  cache: SharedCache,
  settings: FrontSettings,
): FrontParts {
  const { tls, sessions, authentication, socks, limits } = settings;
  const users = new Users(host, authentication.users);
  const logins = new Logins(host, cache, users, { lineageMs: sessions.lineageMs });
  const trust = new TrustContext(tls);
  return {
    host,
    log,
    users,
    logins,
    counters: new NodeCounters(),
    connections: new ConnectionTable(limits),
    pulse: new Pulse(host, { everyMs: Math.min(PULSE_MS_MAX, limits.idleMs / PULSES_PER_IDLE) }),
    store: new SessionStore(host, cache, { logins, trust, holdMs: sessions.holdMs }),
    beforeLogin: new BeforeLogin(host, {
      lifetimeMs: sessions.beforeLoginMs,
      perAddress: sessions.beforeLoginPerAddress,
    }),
    plainSources: new PlainSources(socks.plainFrom),
    claims: sessions.singleUse ? new Claims(host, cache, { waitMs: sessions.holdMs }) : undefined,
    options: sessions,
    certificatesLogIn: authentication.methods.includes('certificate'),
    passwordsLogIn: authentication.methods.includes('password'),
  };
}
