import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Pulse } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import t, { type Test } from 'tap';
import type { Lookup } from '../src/destination.ts';
import { Dialer } from '../src/dialer.ts';
import type { Rule } from '../src/options.ts';
import { ProtectedEndpoints } from '../src/protected-endpoints.ts';
import { RuleBook } from '../src/rule-book.ts';

const ANYONE = { users: [], groups: [], commands: [], names: [], ports: [] };

function dialer(lookup: Lookup, networks: string[], connectMs = 5_000): Dialer {
  const rule: Rule = { action: 'allow', ...ANYONE, networks };
  const host = new SystemHost();
  return new Dialer(host, {
    rules: new RuleBook([rule]),
    protectedEndpoints: new ProtectedEndpoints([], () => []),
    connectMs,
    pulse: new Pulse(host, { everyMs: 1_000 }),
    lookup,
  });
}

/** Answers each question with the next list. */
function answers(...lists: string[][]) {
  const asked: string[] = [];
  const lookup: Lookup = (name, _options, answer) => {
    const addresses = lists[Math.min(asked.length, lists.length - 1)] ?? [];
    asked.push(name);
    answer(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return { lookup, asked };
}

async function listening(t: Test): Promise<number> {
  const server = createServer((socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function to(destination: string, port: number, signal = new AbortController().signal) {
  return { command: 'connect', user: undefined, groups: [], destination, port, signal } as const;
}

t.test('of a name’s addresses only those allowed are dialled', async (t) => {
  const port = await listening(t);
  const { lookup } = answers(['127.0.0.2', '10.0.0.1', '127.0.0.1']);
  const result = await dialer(lookup, ['127.0.0.1/32']).dial(to('Example.ORG.', port));
  t.equal(result.kind, 'connected');
  if (result.kind !== 'connected') return;
  t.equal(result.socket.remoteAddress, '127.0.0.1');
  result.socket.destroy();
});

t.test('a name is asked for once, so a second answer leads nowhere', async (t) => {
  const port = await listening(t);
  const { lookup, asked } = answers(['127.0.0.9', '127.0.0.1'], ['169.254.169.254']);
  const result = await dialer(lookup, ['127.0.0.0/8']).dial(to('rebinding.test', port));
  t.equal(result.kind, 'connected');
  t.strictSame(asked, ['rebinding.test']);
  if (result.kind === 'connected') result.socket.destroy();
});

t.test('a name that leads only to denied addresses is not allowed', async (t) => {
  for (const address of ['10.0.0.1', '::ffff:10.0.0.1', '::1']) {
    const { lookup } = answers([address]);
    const result = await dialer(lookup, ['127.0.0.0/8']).dial(to('inside.test', 80));
    t.strictSame(result, { kind: 'refused', reply: 'not-allowed' });
  }
});

t.test('a name server’s error is the client’s reply', async (t) => {
  const failing: Lookup = (_name, _options, answer) =>
    answer(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }), []);
  const result = await dialer(failing, ['127.0.0.0/8']).dial(to('nowhere.test', 80));
  t.strictSame(result, { kind: 'refused', reply: 'host-unreachable' });
});

t.test('the bound covers the name server too, and the client’s leaving ends it', async (t) => {
  const silent: Lookup = () => undefined;
  const late = await dialer(silent, ['127.0.0.0/8'], 20).dial(to('slow.test', 80));
  t.strictSame(late, { kind: 'refused', reply: 'host-unreachable' });
  const gone = new AbortController();
  const dialled = dialer(silent, ['127.0.0.0/8']).dial(to('slow.test', 80, gone.signal));
  gone.abort();
  t.equal((await dialled).kind, 'refused');
});

t.test('a literal address is never asked for', async (t) => {
  const port = await listening(t);
  const { lookup, asked } = answers([]);
  const result = await dialer(lookup, ['127.0.0.0/8']).dial(to('::ffff:127.0.0.1', port));
  t.equal(result.kind, 'connected', 'a mapped address is dialled as IPv4');
  t.strictSame(asked, []);
  if (result.kind === 'connected') result.socket.destroy();
});
