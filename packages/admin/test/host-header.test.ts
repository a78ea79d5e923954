import t from 'tap';
import { isLoopback, namesAddress } from '../src/host-header.ts';

t.test('an address or localhost is let in, with a port and without', async (t) => {
  for (const host of [
    'localhost',
    'LOCALHOST:12081',
    '127.0.0.1',
    '127.0.0.1:12081',
    '192.0.2.1:80',
    '[::1]',
    '[::1]:12081',
  ])
    t.equal(namesAddress(host), true, host);
});

t.test('a name that somebody else may answer for is not', async (t) => {
  for (const host of [
    undefined,
    '',
    'rebound.example',
    'rebound.example:12081',
    'localhost.rebound.example',
    '127.0.0.1.rebound.example',
    '127.0.0.1:12081:1',
    '127.0.0.1@rebound.example',
    '127.1',
    '2130706433',
    '::1',
    '[127.0.0.1]',
    '[rebound.example]',
    'localhost.',
    'localhost:123456',
  ])
    t.equal(namesAddress(host), false, String(host));
});

t.test('loopback is what only this machine reaches', async (t) => {
  for (const address of ['127.0.0.1', '127.8.9.10', '::1', 'localhost'])
    t.equal(isLoopback(address), true, address);
  for (const address of ['0.0.0.0', '::', '10.0.0.1', '127.example'])
    t.equal(isLoopback(address), false, address);
});
