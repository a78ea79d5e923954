import { connect } from 'node:net';
import { Pulse } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { Binder, type BindRequest } from '../src/binder.ts';
import type { Lookup } from '../src/destination.ts';
import { NodeCounters } from '../src/node-counters.ts';
import type { BindOptions } from '../src/options.ts';
import { RuleBook } from '../src/rule-book.ts';

const ANYONE = { users: [], groups: [], commands: [], names: [], ports: [] };
const BIND: BindOptions = {
  waitMs: 5_000,
  addresses: [],
  ports: undefined,
  waiting: 8,
  waitingPerAddress: 8,
};

function binder(lookup: Lookup, networks: string[], changes: Partial<BindOptions> = {}) {
  const host = new SystemHost();
  const counters = new NodeCounters();
  const made = new Binder(host, {
    ...BIND,
    ...changes,
    rules: new RuleBook([{ action: 'allow', ...ANYONE, networks }]),
    connectMs: 20,
    counters,
    pulse: new Pulse(host, { everyMs: 1_000 }),
    lookup,
  });
  return { binder: made, counters };
}

function request(destination: string, changes: Partial<BindRequest> = {}): BindRequest {
  const { signal } = new AbortController();
  const who = { user: undefined, groups: [], address: 'somebody' };
  return { ...who, destination, port: 21, localAddress: '127.0.0.1', signal, ...changes };
}

const answers =
  (...addresses: string[]): Lookup =>
  (_name, _options, answer) =>
    answer(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );

t.test('of a name’s addresses those that are allowed may come, and no other', async (t) => {
  const lookup = answers('10.0.0.1', '127.0.0.3', '::1', '127.0.0.4');
  const { binder: made, counters } = binder(lookup, ['127.0.0.3/32', '127.0.0.4/32', '::1/128']);
  const result = await made.bind(request('ftp.example'));
  if (result.kind !== 'bound') throw new Error(result.reply);
  const [waiting] = made.waiting;
  t.strictSame(waiting?.expected, ['127.0.0.3', '0:0:0:0:0:0:0:1', '127.0.0.4']);
  const { port } = result.endpoint;
  const from = (localAddress: string) =>
    connect({ host: '127.0.0.1', port, localAddress }).on('error', () => undefined);
  const stranger = from('127.0.0.5');
  await new Promise((resolve) => stranger.once('close', resolve));
  from('127.0.0.4').unref();
  const meeting = await result.met;
  if (meeting.kind !== 'met') throw new Error(meeting.kind);
  t.equal(meeting.peer.address, '127.0.0.4');
  t.equal(counters.bindStrangers.count(['address']), 1);
  t.equal(made.waiting.size, 0);
  meeting.socket.destroy();
});

t.test('a name that leads to nobody who is allowed opens nothing', async (t) => {
  const { binder: made } = binder(answers('10.0.0.1', '0.0.0.0'), ['127.0.0.0/8']);
  t.strictSame(await made.bind(request('ftp.example')), { kind: 'refused', reply: 'not-allowed' });
});

t.test('a name server that is silent is waited for as for a connection', async (t) => {
  const { binder: made } = binder(() => undefined, ['127.0.0.0/8']);
  const refused = { kind: 'refused', reply: 'host-unreachable' };
  t.strictSame(await made.bind(request('ftp.example')), refused);
  t.strictSame(await made.bind(request('ftp.example', { signal: AbortSignal.abort() })), refused);
});

t.test('peers are told an address of their own family', async (t) => {
  const networks = ['127.0.0.0/8', '::1/128', '0.0.0.0/32', '::/128'];
  for (const [addresses, localAddress, peer, told] of [
    [[], '127.0.0.1', '127.0.0.9', '127.0.0.1'],
    [[], '::ffff:127.0.0.2', '127.0.0.9', '127.0.0.2'],
    [[], '::1', '127.0.0.9', undefined],
    [[], '', '127.0.0.9', undefined],
    [['192.0.2.1'], '::1', '127.0.0.9', '192.0.2.1'],
    [['192.0.2.1'], '::1', '::1', '0:0:0:0:0:0:0:1'],
    [['2001:db8::1', '192.0.2.1'], '127.0.0.1', '127.0.0.9', '192.0.2.1'],
    [['2001:db8::1', '192.0.2.1'], '127.0.0.1', '0.0.0.0', '192.0.2.1'],
    [[], '::1', '0.0.0.0', '0:0:0:0:0:0:0:1'],
    [[], '127.0.0.1', '::', '127.0.0.1'],
  ] as const) {
    const { binder: made } = binder(answers(), networks, { addresses });
    const leaving = new AbortController();
    const asked = request(peer, { localAddress, signal: leaving.signal });
    const result = await made.bind(asked);
    leaving.abort();
    const what = `${peer} by ${localAddress}`;
    if (result.kind === 'bound') {
      t.equal(result.endpoint.address, told, what);
      t.equal((await result.met).kind, 'left');
    } else t.strictSame([result.reply, told], ['address-type-not-supported', undefined], what);
  }
});

t.test('a port that cannot be had frees its place', async (t) => {
  const networks = ['127.0.0.0/8'];
  const first = binder(answers(), networks);
  const leaving = new AbortController();
  const held = await first.binder.bind(request('127.0.0.9', { signal: leaving.signal }));
  if (held.kind !== 'bound') throw new Error(held.reply);
  const { port } = held.endpoint;
  const second = binder(answers(), networks, { ports: { from: port, to: port }, waiting: 1 });
  for (let round = 0; round < 2; round += 1) {
    const result = await second.binder.bind(request('127.0.0.9'));
    t.strictSame(result, { kind: 'refused', reply: 'failed' });
  }
  t.equal(second.counters.binds.count(['failed']), 2);
  leaving.abort();
  await held.met;
  const freed = await second.binder.bind(request('127.0.0.9', { signal: AbortSignal.abort() }));
  t.equal(freed.kind, 'bound');
});
