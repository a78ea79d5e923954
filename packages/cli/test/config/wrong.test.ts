/** Every wrong configuration is told by file, line, key, what was found and what was wanted. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CLIENT_YAML, NODE_YAML, PASSWORD_HASH, alter, problems, rightFolder } from '../fixture.ts';

interface Wrong {
  readonly title: string;
  /** In the folder; `node-1.yaml` unless it says otherwise. */
  readonly kind?: 'client';
  spoil(folder: string): void;
  /** The one problem, without the folder in front of each path. */
  readonly told: string | RegExp;
}

const inNode = (before: string, after: string) => (folder: string) =>
  alter(join(folder, 'node-1.yaml'), before, after);
const addToNode = (lines: string) => (folder: string) =>
  writeFileSync(join(folder, 'node-1.yaml'), `${NODE_YAML}${lines}\n`);
const inClient = (before: string, after: string) => (folder: string) =>
  alter(join(folder, 'client.yaml'), before, after);
const addToClient = (lines: string) => (folder: string) =>
  writeFileSync(join(folder, 'client.yaml'), `${CLIENT_YAML}${lines}\n`);
const write = (name: string, text: string) => (folder: string) =>
  writeFileSync(join(folder, name), text);
const remove = (name: string) => (folder: string) => rmSync(join(folder, name));
const cut = (name: string) => (folder: string) => {
  const text = readFileSync(join(folder, name), 'utf8');
  writeFileSync(join(folder, name), text.slice(0, 200) + text.slice(300));
};

const DURATION = 'wanted a duration from 1s to 7d, such as 250ms, 10s or 1h';
const KEY_WANTED = 'wanted a cluster key of 32 random bytes, as `argyle init` writes it';
const PEM_KEY_WANTED = 'wanted a PEM private key without a passphrase';

const CASES: readonly Wrong[] = [
  {
    title: 'no such file',
    spoil: remove('node-1.yaml'),
    told: 'node-1.yaml: found no such file, wanted a YAML file that can be read',
  },
  {
    title: 'a folder for a file',
    spoil: (folder) => {
      remove('node-1.yaml')(folder);
      mkdirSync(join(folder, 'node-1.yaml'));
    },
    told: 'node-1.yaml: found a folder, wanted a YAML file that can be read',
  },
  {
    title: 'an empty file',
    spoil: write('node-1.yaml', ''),
    told: /node-1\.yaml:1: found nothing, wanted a map of keys and values$/m,
  },
  {
    title: 'a list for a map',
    spoil: write('node-1.yaml', '- listen\n'),
    told: /node-1\.yaml:1: found a list, wanted a map of keys and values$/m,
  },
  {
    title: 'no YAML',
    spoil: inNode('listen: 127.0.0.1:23001', 'listen: [127.0.0.1:23001'),
    told: /^node-1\.yaml:\d+: found .*, wanted YAML/,
  },
  {
    title: 'a key twice',
    spoil: addToNode('name: again'),
    told: 'node-1.yaml:13: found Map keys must be unique, wanted YAML',
  },
  {
    title: 'an alias of nothing',
    spoil: inNode('name: node-1', 'name: *node'),
    told: 'node-1.yaml: found an alias (*name) without its anchor (&name), or too many of them, wanted YAML',
  },
  {
    title: 'a key misspelt',
    spoil: inNode('listen:', 'lisen:'),
    told:
      'node-1.yaml:1: listen: found nothing, wanted an address of this machine and a port, ' +
      'such as 127.0.0.1:1080\n' +
      'node-1.yaml:2: lisen: found an unknown key, wanted "listen"',
  },
  {
    title: 'a key of another place',
    spoil: addToNode('mdns: false'),
    told: 'node-1.yaml:13: mdns: found an unknown key, wanted it as "group.mdns"',
  },
  {
    title: 'a key of nowhere',
    spoil: addToNode('cache:\n  colour: blue'),
    told: 'node-1.yaml:14: cache.colour: found an unknown key, wanted one of capacity',
  },
  {
    title: 'nothing to listen on',
    spoil: inNode('listen: 127.0.0.1:23001\n', ''),
    told: 'node-1.yaml:1: listen: found nothing, wanted an address of this machine and a port, such as 127.0.0.1:1080',
  },
  {
    title: 'a name to listen on',
    spoil: inNode('127.0.0.1:23001', 'localhost:23001'),
    told: 'node-1.yaml:2: listen: found "localhost:23001", wanted an address of this machine and a port, such as 127.0.0.1:1080',
  },
  {
    title: 'a port out of range',
    spoil: inNode('127.0.0.1:23002', '127.0.0.1:123002'),
    told: 'node-1.yaml:3: admin: found "127.0.0.1:123002", wanted an address of this machine and a port, such as 127.0.0.1:1080',
  },
  {
    title: 'a name with a space',
    spoil: inNode('name: node-1', 'name: node 1'),
    told: 'node-1.yaml:1: name: found "node 1", wanted letters, digits, dots, hyphens and underscores, at most 64',
  },
  {
    title: 'a duration without a unit',
    spoil: addToNode('sessions:\n  idle: 3600'),
    told: `node-1.yaml:14: sessions.idle: found 3600, ${DURATION}`,
  },
  {
    title: 'a duration out of bounds',
    spoil: addToNode('limits:\n  idle: 30d'),
    told: `node-1.yaml:14: limits.idle: found "30d", ${DURATION}`,
  },
  {
    title: 'a size of another world',
    spoil: addToNode('cache:\n  capacity: 64MB'),
    told: 'node-1.yaml:14: cache.capacity: found "64MB", wanted a size from 1MiB to 1024GiB, such as 1400B, 16KiB or 64MiB',
  },
  {
    title: 'a count that is none',
    spoil: addToNode('limits: { connections: 0 }'),
    told: 'node-1.yaml:13: limits.connections: found 0, wanted a whole number from 1 to 1000000',
  },
  {
    title: 'yes for true',
    spoil: addToNode('sessions: { singleUse: yes }'),
    told: 'node-1.yaml:13: sessions.singleUse: found "yes", wanted true or false',
  },
  {
    title: 'a choice that is none',
    spoil: inNode('  ca: ca.pem', '  ca: ca.pem\n  minVersion: TLSv1.1'),
    told: 'node-1.yaml:8: tls.minVersion: found "TLSv1.1", wanted one of TLSv1.2, TLSv1.3',
  },
  {
    title: 'a group that is no multicast address',
    spoil: inNode('  interface: 127.0.0.1', '  interface: 127.0.0.1\n  address: 10.0.0.1:13080'),
    told: 'node-1.yaml:11: group.address: found "10.0.0.1:13080", wanted an IPv4 multicast address and a port, such as 239.192.0.1:13080',
  },
  {
    title: 'an interface that is not there',
    spoil: inNode('interface: 127.0.0.1', 'interface: nowhere7'),
    told: 'node-1.yaml:10: group.interface: found "nowhere7", which has no IPv4 address here, wanted an interface that is up',
  },
  {
    title: 'a rule without its action',
    spoil: addToNode('rules:\n  - networks: [10.0.0.0/8]'),
    told: 'node-1.yaml:14: rules.0.action: found nothing, wanted one of allow, deny',
  },
  {
    title: 'a network with host bits',
    spoil: addToNode('rules:\n  - action: allow\n    networks:\n      - 10.1.2.3/8'),
    told: 'node-1.yaml:16: rules.0.networks.0: found "10.1.2.3/8", wanted a network such as 198.18.0.0/15 or fd00::/8',
  },
  {
    title: 'ports the wrong way round',
    spoil: addToNode('rules:\n  - { action: deny, ports: [9000-8000] }'),
    told: 'node-1.yaml:14: rules.0.ports.0: found "9000-8000", wanted a port such as 443 or a range such as 8000-8999',
  },
  {
    title: 'no way to log in',
    spoil: inNode('  users: users.yaml', '  users: users.yaml\n  methods: []'),
    told: 'node-1.yaml:13: authentication.methods: found a list, wanted at least one method',
  },
  {
    title: 'passwords without users',
    spoil: inNode('  users: users.yaml\n', '  methods: [password]\n'),
    told: 'node-1.yaml:11: authentication.users: found nothing, wanted the path of the list of users',
  },
  {
    title: 'a certificate that is missing',
    spoil: remove('node.pem'),
    told: 'node-1.yaml:5: tls.certificate: found node.pem: no such file, wanted a PEM certificate',
  },
  {
    title: 'a damaged certificate',
    spoil: (folder) =>
      write(
        'node.pem',
        readFileSync(join(folder, 'node.pem'), 'utf8').replace('MII', 'MIA'),
      )(folder),
    told: 'node-1.yaml:5: tls.certificate: found node.pem: a damaged certificate, wanted a PEM certificate',
  },
  {
    title: 'a key where the certificate should be',
    spoil: inNode('certificate: node.pem', 'certificate: node.key.pem'),
    told: 'node-1.yaml:5: tls.certificate: found node.key.pem: a file without a PEM certificate, wanted a PEM certificate',
  },
  {
    title: 'a certificate that expired',
    spoil: inNode('node.pem\n  key: node.key.pem', 'expired.pem\n  key: expired.key.pem'),
    told: /^node-1\.yaml:5: tls\.certificate: found expired\.pem with a certificate that expired on \d{4}-.*, wanted a valid one$/,
  },
  {
    title: 'a certificate that is not valid yet',
    spoil: inNode('node.pem\n  key: node.key.pem', 'early.pem\n  key: early.key.pem'),
    told: /^node-1\.yaml:5: tls\.certificate: found early\.pem with a certificate that is not valid before \d{4}-.*, wanted a valid one$/,
  },
  {
    title: "a certificate without the cluster's name",
    spoil: inNode('node.pem\n  key: node.key.pem', 'other.pem\n  key: other.key.pem'),
    told: 'node-1.yaml:5: tls.certificate: found other.pem with DNS:other.cluster, DNS:node-1, wanted a certificate for DNS:argyle.cluster',
  },
  {
    title: 'the key of another certificate',
    spoil: inNode('key: node.key.pem', 'key: other.key.pem'),
    told: 'node-1.yaml:6: tls.key: found other.key.pem, the key of another certificate, wanted the key of node.pem',
  },
  {
    title: 'a damaged key',
    spoil: cut('node.key.pem'),
    told: `node-1.yaml:6: tls.key: found node.key.pem: a damaged private key, ${PEM_KEY_WANTED}`,
  },
  {
    title: 'a key with a passphrase',
    spoil: (folder) => {
      const { privateKey } = generateKeyPairSync('ec', {
        namedCurve: 'P-256',
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: {
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-128-cbc',
          passphrase: 'hunter2',
        },
      });
      write('node.key.pem', privateKey)(folder);
    },
    told: `node-1.yaml:6: tls.key: found node.key.pem: a key that is encrypted with a passphrase, ${PEM_KEY_WANTED}`,
  },
  {
    title: 'an authority that is missing',
    spoil: inNode('ca: ca.pem', 'ca: nothing/ca.pem'),
    told: 'node-1.yaml:7: tls.ca: found nothing/ca.pem: no such file, wanted PEM certificates of certificate authorities',
  },
  {
    title: 'an authority that is none',
    spoil: inNode('ca: ca.pem', 'ca: alice.pem'),
    told: "node-1.yaml:7: tls.ca: found alice.pem with a certificate that is no authority's, wanted PEM certificates of certificate authorities",
  },
  {
    title: 'an authority that expired',
    spoil: inNode('ca: ca.pem', 'ca: old-ca.pem'),
    told: /^node-1\.yaml:7: tls\.ca: found old-ca\.pem with a certificate that expired on .*, wanted a valid one$/,
  },
  {
    title: 'a revocation list that is none',
    spoil: inNode('  ca: ca.pem', '  ca: ca.pem\n  crls: [ca.pem]'),
    told: 'node-1.yaml:8: tls.crls.0: found ca.pem: a file without a PEM revocation list, wanted a PEM revocation list',
  },
  {
    title: 'a cluster key that is missing',
    spoil: remove('cluster.key'),
    told: `node-1.yaml:9: group.clusterKey: found cluster.key: no such file, ${KEY_WANTED}`,
  },
  {
    title: 'a cluster key of another length',
    spoil: write(
      'cluster.key',
      `argyle cluster key 1\n${Buffer.alloc(16, 9).toString('base64')}\n`,
    ),
    told: `node-1.yaml:9: group.clusterKey: found cluster.key: a key of 16 bytes, ${KEY_WANTED}`,
  },
  {
    title: 'a passphrase for a cluster key',
    spoil: write(
      'cluster.key',
      `argyle cluster key 1\n${Buffer.from('correct horse battery staple 123').toString('base64')}\n`,
    ),
    told: `node-1.yaml:9: group.clusterKey: found cluster.key: a key that is a passphrase, not random bytes, ${KEY_WANTED}`,
  },
  {
    title: 'the cluster key itself in the configuration',
    spoil: inNode(
      'clusterKey: cluster.key',
      `clusterKey: ${Buffer.alloc(32, 7).toString('base64')}`,
    ),
    told: 'node-1.yaml:9: group.clusterKey: found what looks like the key itself, wanted the path of a file that holds the key',
  },
  {
    title: 'the private key itself in the configuration',
    spoil: inNode('node.key.pem', '"-----BEGIN PRIVATE KEY----- hunter2"'),
    told: 'node-1.yaml:6: tls.key: found what looks like the contents of a file, wanted the path of a PEM private key without a passphrase',
  },
  {
    title: 'a list of users that is missing',
    spoil: remove('users.yaml'),
    told: 'users.yaml: found no such file, wanted a YAML file that can be read',
  },
  {
    title: 'a password in clear in the list of users',
    spoil: write('users.yaml', 'demo:\n  password: hunter2\n'),
    told: 'users.yaml:2: demo.password: found a value that is not shown, wanted a hash made by `argyle user add`',
  },
  {
    title: 'a password hash that no node can afford',
    spoil: write(
      'users.yaml',
      `demo:\n  password: ${PASSWORD_HASH.replace('32768', '67108864')}\n`,
    ),
    told: 'users.yaml:2: demo.password: found a value that is not shown, wanted a hash made by `argyle user add`',
  },
  {
    title: 'a user without a password',
    spoil: write('users.yaml', 'demo:\n  groups: [staff]\n'),
    told: 'users.yaml:1: demo.password: found nothing, wanted a hash made by `argyle user add`',
  },
  {
    title: 'a user whose name has a space',
    spoil: write('users.yaml', `de mo:\n  password: ${PASSWORD_HASH}\n`),
    told: 'users.yaml:1: de mo: found this key, wanted a user name without spaces of 1 to 255 bytes',
  },
  {
    title: 'a user whose name is longer than SOCKS can say',
    spoil: write('users.yaml', `${'ü'.repeat(128)}:\n  password: ${PASSWORD_HASH}\n`),
    told: /: found this key, wanted a user name without spaces of 1 to 255 bytes$/,
  },
  {
    title: 'a list of users that is no YAML',
    spoil: write('users.yaml', 'demo:\n  password: "hunter2\n'),
    told: 'users.yaml:3: found Missing closing "quote, wanted YAML',
  },
  {
    title: 'a client without nodes',
    kind: 'client',
    spoil: inClient('[127.0.0.1:23001]', '[]'),
    told: 'client.yaml:1: nodes: found a list, wanted at least one node',
  },
  {
    title: 'a node without a port',
    kind: 'client',
    spoil: inClient('[127.0.0.1:23001]', '[proxy.example]'),
    told: 'client.yaml:1: nodes.0: found "proxy.example", wanted a name or an address, and a port, such as proxy.example:1080',
  },
  {
    title: 'a user in one line',
    kind: 'client',
    spoil: inClient('user:\n  name: demo\n  password: the-password-of-demo', 'user: demo:hunter2'),
    told: 'client.yaml:3: user: found a value that is not shown, wanted a map of keys and values',
  },
  {
    title: 'a password that is a number',
    kind: 'client',
    spoil: inClient('the-password-of-demo', '31337'),
    told: 'client.yaml:5: user.password: found a value that is not shown, wanted a password of 1 to 255 bytes',
  },
  {
    title: "a client's certificate without its key",
    kind: 'client',
    spoil: inClient('  key: alice.key.pem\n', ''),
    told: 'client.yaml:6: certificate.key: found nothing, wanted the path of a PEM private key',
  },
  {
    title: 'a limit that a client does not have',
    kind: 'client',
    spoil: addToClient('limits:\n  handshake: 5s'),
    told: 'client.yaml:10: limits.handshake: found an unknown key, wanted one of connections, connect, greeting, request, idle, retry, drain',
  },
];

for (const { title, kind = 'node', spoil, told } of CASES) {
  t.test(`told: ${title}`, async (t) => {
    const folder = await rightFolder(t);
    spoil(folder);
    const message = problems(folder, kind);
    if (typeof told === 'string') t.equal(message, told);
    else t.match(message, told);
    t.notMatch(message, /hunter2|31337|correct horse|BwcHBw/);
  });
}

t.test('everything that is wrong is told at once, each file in its order', async (t) => {
  const folder = await rightFolder(t);
  alter(join(folder, 'node-1.yaml'), 'listen: 127.0.0.1:23001', 'listen: here');
  alter(join(folder, 'node-1.yaml'), 'key: node.key.pem', 'key: other.key.pem');
  alter(join(folder, 'node-1.yaml'), 'users: users.yaml', 'users: users.yaml\n  method: none');
  write('cluster.key', 'hunter2')(folder);
  write('users.yaml', 'demo: hunter2\n')(folder);
  const message = problems(folder, 'node');
  const places = message.split('\n').map((line) => line.split(': ').slice(0, 2).join(' '));
  t.same(places, [
    'node-1.yaml:2 listen',
    'node-1.yaml:6 tls.key',
    'node-1.yaml:9 group.clusterKey',
    'node-1.yaml:13 authentication.method',
    'users.yaml:1 demo',
  ]);
  t.notMatch(message, 'hunter2');
});
