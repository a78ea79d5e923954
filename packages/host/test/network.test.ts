import t from 'tap';
import { contains, formatAddress, parseAddress, parseNetwork } from '../src/network.ts';

t.test('addresses are read and written', (t) => {
  for (const [text, written] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['2001:db8::a:0:1', '2001:db8:0:0:0:a:0:1'],
    ['fe80:1:2:3:4:5:6:7', 'fe80:1:2:3:4:5:6:7'],
    ['64:ff9b::192.0.2.33', '64:ff9b:0:0:0:0:c000:221'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::ffff:0a01:0203', '10.1.2.3'],
  ] as const) {
    const address = parseAddress(text);
    t.equal(address && formatAddress(address), written, text);
  }
  t.end();
});

t.test('what is no address is none', (t) => {
  for (const text of [
    '',
    '1',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    'fe80::1%eth0',
    ':::',
    '::1/128',
  ]) {
    t.equal(parseAddress(text), undefined, text);
  }
  t.end();
});

t.test('a network has no bits beyond its prefix', (t) => {
  for (const text of ['10.0.0.0/8', '0.0.0.0/0', '10.1.2.3', '10.1.2.3/32', 'fc00::/7', '::/0']) {
    t.ok(parseNetwork(text), text);
  }
  for (const text of [
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fc01::/7',
    'x/8',
  ]) {
    t.equal(parseNetwork(text), undefined, text);
  }
  t.end();
});

t.test('a network contains its addresses, in its own family', (t) => {
  const table: [string, string, boolean][] = [
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.128.0.0/9', '10.127.255.255', false],
    ['10.128.0.0/9', '10.128.0.0', true],
    ['192.0.2.7/32', '192.0.2.7', true],
    ['192.0.2.6/31', '192.0.2.8', false],
    ['0.0.0.0/0', '203.0.113.1', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '10.0.0.1', false],
    ['fc00::/7', 'fdff::1', true],
    ['fc00::/7', 'fe00::1', false],
    ['10.0.0.0/8', '::ffff:10.0.0.1', true],
    ['::ffff:10.0.0.0/104', '10.0.0.1', true],
  ];
  for (const [network, address, inside] of table) {
    t.equal(
      contains(parseNetwork(network)!, parseAddress(address)!),
      inside,
      `${network} ${address}`,
    );
  }
  t.end();
});
