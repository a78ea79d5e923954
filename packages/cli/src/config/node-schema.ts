import * as z from 'zod';
import {
  choice,
  count,
  credential,
  duration,
  endpoints,
  file,
  groupEndpoint,
  list,
  listenEndpoint,
  memberEndpoint,
  namePattern,
  network,
  oneOfEachFamily,
  ownAddress,
  portRange,
  size,
  sizeOrAuto,
  text,
  yesNo,
  USER_NAME,
} from './values.ts';

const serverName = () =>
  text('a host name such as argyle.cluster', /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);
const userName = () => credential('a name without spaces', USER_NAME);

const rule = z.strictObject({
  action: choice('allow', 'deny'),
  users: list(userName()),
  groups: list(userName()),
  commands: list(choice('connect', 'bind', 'udp')),
  networks: list(network()),
  names: list(namePattern()),
  ports: list(portRange()),
});

/**
 * A node's configuration file. Every default of a node stands here and nowhere else;
 * `CONFIGURATION.md` tells them, and a test compares the two.
 */
export const nodeSchema = z.strictObject({
  name: text(
    'letters, digits, dots, hyphens and underscores, at most 64',
    /^[A-Za-z0-9._-]{1,64}$/,
  ).optional(),
  listen: listenEndpoint(),
  admin: listenEndpoint().prefault('127.0.0.1:12081'),
  tls: z.strictObject({
    certificate: file('a PEM certificate'),
    key: file('a PEM private key'),
    ca: file('PEM certificates of authorities'),
    crls: list(file('a PEM revocation list')),
    serverName: serverName().prefault('argyle.cluster'),
    clientCertificate: choice('none', 'optional', 'required').prefault('optional'),
    minVersion: choice('TLSv1.2', 'TLSv1.3').prefault('TLSv1.2'),
  }),
  group: z.strictObject({
    clusterKey: file('the cluster key'),
    address: groupEndpoint().prefault('239.192.0.1:13080'),
    interface: text(
      'auto, an IPv4 address, or the name of an interface',
      /^[\w.@:-]{1,64}$/,
    ).prefault('auto'),
    port: count(0, 65_535).prefault(0),
    ttl: count(0, 255).prefault(1),
    segment: sizeOrAuto('512B', '60KiB').prefault('auto'),
    transport: choice('auto', 'multicast', 'unicast').prefault('auto'),
    mdns: yesNo().prefault(true),
    members: list(memberEndpoint()),
  }),
  cache: z.strictObject({ capacity: size('1MiB', '1024GiB').prefault('64MiB') }).prefault({}),
  sessions: z
    .strictObject({
      idle: duration('1s', '7d').prefault('1h'),
      lineage: duration('1s', '7d').prefault('24h'),
      beforeLogin: duration('1s', '1h').prefault('2m'),
      beforeLoginPerAddress: count(1, 1_000_000).prefault(256),
      singleUse: yesNo().prefault(false),
      hold: duration('0ms', '10s').prefault('250ms'),
    })
    .prefault({}),
  authentication: z
    .strictObject({
      methods: z
        .array(choice('none', 'password', 'certificate'))
        .min(1, 'at least one method')
        .prefault(['password']),
      users: file('the list of users').optional(),
    })
    .prefault({}),
  rules: z.array(rule).prefault([{ action: 'allow' }]),
  protected: list(endpoints()),
  limits: z
    .strictObject({
      connections: count(1, 1_000_000).prefault(8_192),
      connectionsPerAddress: count(1, 1_000_000).prefault(2_048),
      handshake: duration('100ms', '5m').prefault('10s'),
      greeting: duration('100ms', '5m').prefault('10s'),
      request: duration('100ms', '5m').prefault('10s'),
      connect: duration('100ms', '5m').prefault('10s'),
      idle: duration('1s', '7d').prefault('1h'),
      drain: duration('0ms', '1h').prefault('10s'),
    })
    .prefault({}),
  socks: z
    .strictObject({
      plainFrom: list(network()),
      bind: z
        .strictObject({
          wait: duration('1s', '1h').prefault('2m'),
          addresses: list(ownAddress()).refine(oneOfEachFamily, 'one address of each family'),
          ports: portRange().optional(),
          waiting: count(1, 65_535).prefault(256),
          waitingPerAddress: count(1, 65_535).prefault(32),
        })
        .prefault({}),
      udp: z
        .strictObject({
          clear: yesNo().prefault(false),
          addresses: list(ownAddress()).refine(oneOfEachFamily, 'one address of each family'),
          filtering: choice(
            'endpoint-independent',
            'address-dependent',
            'address-and-port-dependent',
          ).prefault('address-dependent'),
          ports: portRange().optional(),
          destinations: count(1, 65_536).prefault(1_024),
          associations: count(1, 1_000_000).prefault(4_096),
          associationsPerAddress: count(1, 1_000_000).prefault(1_024),
          idle: duration('10s', '7d').prefault('5m'),
          datagram: size('576B', '65507B').prefault('1452B'),
          suite: choice(
            'aes-128-gcm',
            'aes-256-gcm',
            'chacha20-poly1305',
            'aes-128-cbc-hmac-sha256',
          ).prefault('aes-128-gcm'),
          replay: choice('drop', 'warn', 'end').prefault('drop'),
          grace: duration('10s', '1h').prefault('60s'),
        })
        .prefault({}),
    })
    .prefault({}),
  log: z
    .strictObject({ level: choice('debug', 'info', 'warn', 'error').prefault('info') })
    .prefault({}),
});
