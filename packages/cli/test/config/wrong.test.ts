/** Every wrong configuration is told by file, line, key, what was found and what was wanted. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { alter, problems, rightFolder } from '../fixture.ts';
import {
  addToClient,
  addToNode,
  inClient,
  inNode,
  remove,
  tellEach,
  write,
  type Wrong,
} from './wrong.ts';

const DURATION = 'wanted a duration from 1s to 7d, such as 250ms, 10s or 1h';

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
    title: 'a member where the group does not go',
    spoil: inNode(
      '  interface: 127.0.0.1',
      "  interface: 127.0.0.1\n  members: ['[fd00::1]:13081']",
    ),
    told: /node-1.yaml:11: group.members.0: found "\[fd00::1\]:13081", wanted an IPv4 address or a name/,
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
    title: 'a source in clear that is no network',
    spoil: addToNode('socks:\n  plainFrom: [127.0.0.1/8]'),
    told: 'node-1.yaml:14: socks.plainFrom.0: found "127.0.0.1/8", wanted a network such as 198.18.0.0/15 or fd00::/8',
  },
  {
    title: 'a source in clear for a list of them',
    spoil: addToNode('socks:\n  plainFrom: 127.0.0.0/8'),
    told: 'node-1.yaml:14: socks.plainFrom: found "127.0.0.0/8", wanted a list',
  },
  {
    title: 'a port of BIND that waits for days',
    spoil: addToNode('socks:\n  bind:\n    wait: 2d'),
    told: 'node-1.yaml:15: socks.bind.wait: found "2d", wanted a duration from 1s to 1h, such as 250ms, 10s or 1h',
  },
  {
    title: 'an address of BIND that leads nobody anywhere',
    spoil: addToNode('socks: { bind: { addresses: [0.0.0.0] } }'),
    told: 'node-1.yaml:13: socks.bind.addresses.0: found "0.0.0.0", wanted an address that peers can reach, such as 192.0.2.1',
  },
  {
    title: 'a name for an address of BIND',
    spoil: addToNode('socks: { bind: { addresses: [ftp.example] } }'),
    told: 'node-1.yaml:13: socks.bind.addresses.0: found "ftp.example", wanted an address that peers can reach, such as 192.0.2.1',
  },
  {
    title: 'two addresses of BIND of one family',
    spoil: addToNode('socks: { bind: { addresses: [192.0.2.1, 192.0.2.2] } }'),
    told: 'node-1.yaml:13: socks.bind.addresses: found a list, wanted one address of each family',
  },
  {
    title: 'ports of BIND the wrong way round',
    spoil: addToNode('socks: { bind: { ports: 30000-20000 } }'),
    told: 'node-1.yaml:13: socks.bind.ports: found "30000-20000", wanted a port such as 443 or a range such as 8000-8999',
  },
  {
    title: 'no port of BIND that may wait',
    spoil: addToNode('socks: { bind: { waiting: 0 } }'),
    told: 'node-1.yaml:13: socks.bind.waiting: found 0, wanted a whole number from 1 to 65535',
  },
  {
    title: 'a key of BIND in another place',
    spoil: addToNode('socks: { waiting: 9 }'),
    told: 'node-1.yaml:13: socks.waiting: found an unknown key, wanted it as "socks.bind.waiting"',
  },
  {
    title: 'a filtering that nobody has defined',
    spoil: addToNode('socks: { udp: { filtering: open } }'),
    told: 'node-1.yaml:13: socks.udp.filtering: found "open", wanted one of endpoint-independent, address-dependent, address-and-port-dependent',
  },
  {
    title: 'a suite of secure UDP that is none',
    spoil: addToNode('socks: { udp: { suite: aes-256-cbc } }'),
    told: 'node-1.yaml:13: socks.udp.suite: found "aes-256-cbc", wanted one of aes-128-gcm, aes-256-gcm, chacha20-poly1305, aes-128-cbc-hmac-sha256',
  },
  {
    title: 'a datagram that no network carries',
    spoil: addToNode('socks: { udp: { datagram: 64KiB } }'),
    told: 'node-1.yaml:13: socks.udp.datagram: found "64KiB", wanted a size from 576B to 65507B, such as 1400B, 16KiB or 64MiB',
  },
  {
    title: 'a grace that outlives the day',
    spoil: addToNode('socks: { udp: { grace: 2d } }'),
    told: 'node-1.yaml:13: socks.udp.grace: found "2d", wanted a duration from 10s to 1h, such as 250ms, 10s or 1h',
  },
  {
    title: 'ports of UDP the wrong way round',
    spoil: addToNode('socks: { udp: { ports: 30000-20000 } }'),
    told: 'node-1.yaml:13: socks.udp.ports: found "30000-20000", wanted a port such as 443 or a range such as 8000-8999',
  },
  {
    title: 'a key of UDP in another place',
    spoil: addToNode('socks: { filtering: address-dependent }'),
    told: 'node-1.yaml:13: socks.filtering: found an unknown key, wanted it as "socks.udp.filtering"',
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

tellEach(CASES);

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
