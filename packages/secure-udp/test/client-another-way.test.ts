/** What a driver with another way for payloads takes, when no node answers. */
import t from 'tap';
import { NAMES, threeNodes } from './lab.ts';
import type { ClientProcess } from './processes.ts';

const numbersOf = (payloads: readonly Uint8Array[]) =>
  payloads.map((payload) => Buffer.from(payload).readUInt32BE(8));

/** A client in whose mid-life nothing comes from any node any more, and what it took back then. */
function blocked(resend: { datagrams: number; ageMs: number }, intervalMs = 20) {
  const lab = threeNodes();
  lab.refusals = false;
  const client = lab.startClient('client', NAMES, { resend });
  lab.talk(1_000, intervalMs);
  lab.run(100);
  for (const name of NAMES) lab.simulator.network.cut(client.name, name);
  const first = client.number + 1;
  while (!told(client)) lab.talk(intervalMs, intervalMs);
  const last = client.number;
  const taken = numbersOf(client.machine.takeWaiting(lab.simulator.now));
  return { lab, client, first, last, taken };
}

const told = ({ events }: ClientProcess) => events.some(({ kind }) => kind === 'unreachable');

t.test('what was sent in vain until nodes are unreachable can be taken elsewhere, once', (t) => {
  const { lab, client, first, last, taken } = blocked({ datagrams: 256, ageMs: 1_000 });
  t.ok(last - first > 150, `${last - first} in more than three seconds`);
  const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  t.same(taken, all, 'each, in order');
  t.equal(client.machine.counters.unsure, 0);
  t.same(client.machine.takeWaiting(lab.simulator.now), []);
  lab.simulator.network.heal();
  lab.talk(1_000);
  lab.run(500);
  t.equal(client.events.at(-1)?.kind, 'reached');
  t.notOk(
    all.some((number) => client.arrivals.has(number)),
    'nor does it come by both ways',
  );
  t.ok(client.arrivals.has(last + 30));
  t.end();
});

t.test('no more of it than may be sent again, and nothing if nothing may', (t) => {
  const few = blocked({ datagrams: 16, ageMs: 1_000 });
  const newest = Array.from({ length: 16 }, (_, index) => few.last - 15 + index);
  t.same(few.taken, newest);
  t.ok(few.client.machine.counters.unsure >= few.last - few.first - 15);
  t.same(blocked({ datagrams: 0, ageMs: 0 }).taken, []);
  t.end();
});

t.test('long after that, nothing is taken that is older than it would have been then', (t) => {
  const { lab, client } = blocked({ datagrams: 256, ageMs: 1_000 });
  lab.talk(500, 100);
  lab.run(30_000);
  t.same(client.machine.takeWaiting(lab.simulator.now), []);
  lab.talk(6_000, 100);
  const { number } = client;
  const taken = numbersOf(client.machine.takeWaiting(lab.simulator.now));
  t.equal(taken.at(-1), number);
  t.ok(taken.length >= 30 && taken.length <= 41, `${taken.length} of four seconds`);
  t.end();
});

t.test('while a node answers nothing is taken, and before one did what waits is', (t) => {
  const lab = threeNodes();
  const client = lab.startClient('client', NAMES);
  client.say();
  client.say();
  t.same(numbersOf(client.machine.takeWaiting(lab.simulator.now)), [1, 2]);
  lab.talk(1_000);
  client.say();
  t.same(client.machine.takeWaiting(lab.simulator.now), []);
  lab.run(100);
  t.ok(client.arrivals.has(client.number));
  t.notOk(client.arrivals.has(1));
  client.run((now) => client.machine.end(now));
  t.same(client.machine.takeWaiting(lab.simulator.now), []);
  t.end();
});
