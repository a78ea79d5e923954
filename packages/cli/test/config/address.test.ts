import t from 'tap';
import {
  formatEndpoint,
  isMulticast,
  isNamePattern,
  parseEndpoint,
  parseEndpoints,
} from '../../src/config/address.ts';

t.test('an endpoint is an address or a name, and a port', async (t) => {
  t.same(parseEndpoint('127.0.0.1:1080'), { address: '127.0.0.1', port: 1080 });
  t.same(parseEndpoint('[2001:db8::1]:443'), { address: '2001:db8::1', port: 443 });
  t.same(parseEndpoint('proxy.example:0'), { address: 'proxy.example', port: 0 });
  for (const text of [
    '',
    '127.0.0.1',
    ':1080',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '256.0.0.1:1',
    '1.2.3:1',
    '2001:db8::1:443',
    '[127.0.0.1]:1',
    '[proxy.example]:1',
    '-proxy.example:1',
    'pro xy:1',
    '127.0.0.1:10-20',
  ])
    t.equal(parseEndpoint(text), undefined, text);
});

t.test('a range of ports is that many endpoints', async (t) => {
  t.same(parseEndpoints('127.0.0.1:10-12'), [
    { address: '127.0.0.1', port: 10 },
    { address: '127.0.0.1', port: 11 },
    { address: '127.0.0.1', port: 12 },
  ]);
  t.equal(parseEndpoints('127.0.0.1:12-10'), undefined);
  t.equal(parseEndpoints('127.0.0.1:1-70000'), undefined);
});

t.test('an endpoint is written as it is read', async (t) => {
  for (const text of ['127.0.0.1:1080', '[::1]:1080', 'proxy.example:1080']) {
    const endpoint = parseEndpoint(text);
    t.equal(endpoint && formatEndpoint(endpoint), text);
  }
});

t.test('multicast is 224.0.0.0/4', async (t) => {
  t.same(
    ['223.255.255.255', '224.0.0.0', '239.255.255.255', '240.0.0.0', 'ff02::1'].map(isMulticast),
    [false, true, true, false, false],
  );
});

t.test('a name may begin with a star', async (t) => {
  t.same(['example.com', '*.example.com', '*', '*.', 'a.*.b', 'a..b', ''].map(isNamePattern), [
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});
