/** Targets that are told by their names, with a name server of our own. */
import { ManualHost } from '@argyle/host/manual-host';
import t from 'tap';
import type { Lookup } from '../src/destination.ts';
import { relayScene } from './relay-scene.ts';
import { to, UdpPeer } from './udp-target.ts';
import { until } from './until.ts';

/** A name server that says what it is told, when it is told. */
class Names {
  readonly asked: string[] = [];
  readonly addresses = new Map<string, readonly string[]>();
  readonly #held: (() => void)[] = [];
  holding = false;

  readonly lookup: Lookup = (name, _options, answer) => {
    this.asked.push(name);
    const say = () => {
      const found = this.addresses.get(name);
      if (!found) answer(Object.assign(new Error(name), { code: 'ENOTFOUND' }), []);
      else
        answer(
          null,
          found.map((address) => ({ address, family: 4 })),
        );
    };
    if (this.holding) this.#held.push(say);
    else queueMicrotask(say);
  };

  release(): void {
    this.holding = false;
    for (const say of this.#held.splice(0)) say();
  }
}

t.test('a target is judged before there is an association', async (t) => {
  const names = new Names();
  names.addresses.set('here.example', ['127.0.0.1']).set('away.example', ['192.0.2.1']);
  const { relays } = relayScene(t, { lookup: names.lookup });
  const left = new AbortController().signal;
  const judge = (host: string, port = 53) =>
    relays.judge({ host, port }, { user: undefined, groups: () => [], left });
  const hosts = ['127.0.0.1', 'here.example', '192.0.2.1', 'away.example', 'no.example', 'ä'];
  const judged = await Promise.all(hosts.map((host) => judge(host)));
  t.same(judged, [true, true, false, false, false, false]);
  t.equal(await judge('127.0.0.1', 0), false);
  t.equal(await judge('x'.repeat(256)), false);
});

t.test('what comes while a name is looked up waits, to a bound', async (t) => {
  const names = new Names();
  names.holding = true;
  const target = await UdpPeer.open(t);
  const { port } = target.endpoint;
  names.addresses.set('here.example', ['192.0.2.1', '127.0.0.1']);
  const { relay, refused, got } = relayScene(t, { lookup: names.lookup });
  for (let n = 0; n < 12; n += 1) relay.handle(to({ address: 'Here.Example.', port }, `${n}`));
  t.same(names.asked, ['here.example'], 'asked once');
  names.release();
  await target.hear(8);
  t.same(target.texts, ['0', '1', '2', '3', '4', '5', '6', '7'], 'to the first that is allowed');
  t.equal(refused('waiting'), 4);
  target.answer('answer');
  await until(() => got.length === 1);
  t.same(got, [`127.0.0.1:${port} answer`]);
});

t.test('a name is asked for again by and by, and what is sent meanwhile goes on', async (t) => {
  const names = new Names();
  const host = new ManualHost();
  const [first, second] = [
    await UdpPeer.open(t, '127.0.0.2'),
    await UdpPeer.open(t, '127.0.0.3', 0),
  ];
  const other = await UdpPeer.open(t, '127.0.0.3', first.endpoint.port);
  const named = { address: 'here.example', port: first.endpoint.port };
  t.not(second.endpoint.port, named.port);
  names.addresses.set('here.example', ['127.0.0.2']);
  const { relay } = relayScene(t, { host, lookup: names.lookup });
  relay.handle(to(named, 'a'));
  await first.hear(1);
  host.advance(29_999);
  relay.handle(to(named, 'b'));
  await first.hear(2);
  t.equal(names.asked.length, 1);
  names.addresses.set('here.example', ['127.0.0.3']);
  names.holding = true;
  host.advance(1);
  relay.handle(to(named, 'c'));
  await first.hear(3);
  names.release();
  await until(() => names.asked.length === 2);
  await new Promise(setImmediate);
  relay.handle(to(named, 'd'));
  t.same(await other.hear(1), ['d']);
  names.addresses.delete('here.example');
  host.advance(30_000);
  relay.handle(to(named, 'e'));
  await until(() => names.asked.length === 3);
  await new Promise(setImmediate);
  relay.handle(to(named, 'f'));
  t.same(await other.hear(3), ['d', 'e', 'f'], 'a name server that fails ends nothing');
});

t.test('a name that has no address, or none that is allowed, is asked for seldom', async (t) => {
  const names = new Names();
  const host = new ManualHost();
  names.addresses.set('away.example', ['192.0.2.1']);
  const { relay, refused } = relayScene(t, { host, lookup: names.lookup });
  const ask = async (address: string) => {
    for (let n = 0; n < 3; n += 1) {
      relay.handle(to({ address, port: 53 }, 'x'));
      await new Promise(setImmediate);
    }
  };
  await ask('no.example');
  await ask('away.example');
  t.same([refused('name'), refused('rule')], [3, 3]);
  t.same(names.asked, ['no.example', 'away.example']);
  host.advance(2_000);
  await ask('no.example');
  t.equal(names.asked.length, 3);
  await ask('not a name');
  t.equal(names.asked.length, 3);
});

t.test('names are looked up a few at a time, whatever a client asks for', async (t) => {
  const names = new Names();
  names.holding = true;
  const { relay, refused } = relayScene(t, { lookup: names.lookup });
  for (let n = 0; n < 100; n += 1) relay.handle(to({ address: `n${n}.example`, port: 53 }, 'x'));
  t.equal(names.asked.length, 8);
  t.equal(refused('waiting'), 92);
  relay.close();
  await until(() => refused('waiting') === 100);
});
