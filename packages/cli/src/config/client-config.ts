import assert from 'node:assert/strict';
import type * as z from 'zod';
import type { ClientOptions } from '@argyle/client';
import type { Endpoint } from '@argyle/host';
import { clientSchema } from './client-schema.ts';
import { ConfigDocument } from './document.ts';
import { exposure } from './files.ts';
import { Material } from './material.ts';
import type { LogLevel } from './node-config.ts';
import { Findings } from './problem.ts';
import { effective } from './schema-walk.ts';

export interface ClientConfig {
  readonly file: string;
  readonly options: ClientOptions;
  readonly admin: Endpoint;
  /** How long a stopping client waits for open tunnels. */
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  readonly warnings: readonly string[];
  /** The file with every default filled in, without the password. */
  readonly effective: unknown;
}

/** As `loadNodeConfig`, for a client. */
export function loadClientConfig(file: string, nowMs: number): ClientConfig {
  const findings = new Findings();
  const document = ConfigDocument.read(file, findings, ([first]) => first === 'user');
  findings.settle();
  assert(document, 'what cannot be read is a problem');

  const said = document.validate(clientSchema);
  const material = new Material(document, findings, nowMs);
  const ca = material.ca(['ca']);
  const certificate = material.pair({
    certificate: ['certificate', 'certificate'],
    key: ['certificate', 'key'],
  });
  const exposed = said?.user ? exposure(file) : undefined;
  if (exposed !== undefined) findings.warnings.push(exposed);
  findings.settle();
  assert(said && ca !== undefined, 'what is missing is a problem');
  return {
    file,
    options: toOptions(said, ca, certificate),
    admin: said.admin,
    drainMs: said.limits.drain,
    logLevel: said.log.level,
    warnings: findings.warnings,
    effective: withoutPassword(effective(clientSchema, document.raw)),
  };
}

function toOptions(
  said: z.output<typeof clientSchema>,
  ca: string,
  certificate: ClientOptions['certificate'],
): ClientOptions {
  const { limits, udp } = said;
  return {
    listen: said.listen,
    nodes: said.nodes,
    serverName: said.serverName,
    ca,
    user: said.user,
    certificate,
    warmConnections: said.warmConnections,
    limits: {
      connections: limits.connections,
      connectMs: limits.connect,
      greetingMs: limits.greeting,
      requestMs: limits.request,
      idleMs: limits.idle,
      retryMs: limits.retry,
    },
    udp: {
      standbys: udp.standbys,
      resend: { datagrams: udp.resend.datagrams, ageMs: udp.resend.age },
      datagramBytes: udp.datagram,
      fallback: udp.fallback,
      associations: udp.associations,
      idleMs: udp.idle,
    },
    forwards: said.forwards,
  };
}

function withoutPassword(shown: unknown): unknown {
  if (typeof shown !== 'object' || shown === null || !('user' in shown)) return shown;
  return { ...shown, user: { ...Object(shown.user), password: '(not shown)' } };
}
