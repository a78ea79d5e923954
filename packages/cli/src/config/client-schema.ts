import * as z from 'zod';
import {
  choice,
  count,
  credential,
  duration,
  file,
  forward,
  list,
  listenEndpoint,
  remoteEndpoint,
  size,
  text,
  yesNo,
} from './values.ts';

/**
 * A client's configuration file. Every default of a client stands here and nowhere else;
 * `CONFIGURATION.md` tells them, and a test compares the two.
 */
export const clientSchema = z.strictObject({
  listen: listenEndpoint().prefault('127.0.0.1:1080'),
  admin: listenEndpoint().prefault('127.0.0.1:12080'),
  nodes: z.array(remoteEndpoint()).min(1, 'at least one node'),
  serverName: text(
    'a host name such as argyle.cluster',
    /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
  ).prefault('argyle.cluster'),
  ca: file('PEM certificates of authorities'),
  user: z
    .strictObject({ name: credential('a name'), password: credential('a password') })
    .optional(),
  certificate: z
    .strictObject({ certificate: file('a PEM certificate'), key: file('a PEM private key') })
    .optional(),
  warmConnections: count(0, 16).prefault(4),
  udp: z
    .strictObject({
      standbys: count(0, 2).prefault(1),
      resend: z
        .strictObject({
          datagrams: count(0, 4_096).prefault(256),
          age: duration('0ms', '10s').prefault('1s'),
        })
        .prefault({}),
      datagram: size('576B', '65507B').prefault('1452B'),
      fallback: yesNo().prefault(true),
      associations: count(1, 16_384).prefault(1_024),
      idle: duration('1s', '1d').prefault('60s'),
    })
    .prefault({}),
  forwards: list(forward()),
  limits: z
    .strictObject({
      connections: count(1, 1_000_000).prefault(4_096),
      connect: duration('100ms', '5m').prefault('5s'),
      greeting: duration('100ms', '5m').prefault('10s'),
      request: duration('100ms', '5m').prefault('20s'),
      idle: duration('1s', '7d').prefault('1h'),
      retry: duration('10ms', '10m').prefault('1s'),
      drain: duration('0ms', '1h').prefault('5s'),
    })
    .prefault({}),
  log: z
    .strictObject({ level: choice('debug', 'info', 'warn', 'error').prefault('info') })
    .prefault({}),
});
