import t from 'tap';
import { moves, NAMES, notOnce, QUIET, threeNodes } from './lab.ts';

t.test('an owner that drains loses and doubles nothing, either way', (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const made = threeNodes({ delayMinMs: 1 + seed, delayMeanMs: seed % 3 }, seed);
    const client = made.startClient('client', NAMES);
    made.talk(400, 3);
    for (const name of ['alpha', 'bravo']) {
      const node = made.node(name);
      t.equal(client.machine.endpoint, name);
      node.run((now) => node.machine.drain(now));
      made.talk(400, 3);
      t.ok(
        node.events.some(({ kind }) => kind === 'drained'),
        `${name} is drained`,
      );
    }
    made.run(500);
    t.equal(client.machine.endpoint, 'charlie');
    t.same(moves(client), ['left', 'left']);
    t.same(notOnce(made, client), [], `seed ${seed}`);
    t.equal(client.received.length, client.number, 'answers went on through the old node');
    t.equal(client.machine.counters.resentUnsure, 0);
  }
  t.end();
});

t.test('a drain is exact with six thousand payloads under way, and without a standby', (t) => {
  const made = threeNodes({ delayMinMs: 20, delayMeanMs: 0.1 });
  const client = made.startClient('client', ['alpha']);
  made.talk(200, 5);
  for (let index = 0; index < 6_000; index += 1) client.host.perform(() => client.say());
  made.run(1);
  client.host.perform(() =>
    client.run((now) => client.machine.setCandidates(['alpha', 'bravo'], now)),
  );
  made.run(15);
  const node = made.node('alpha');
  node.run((now) => node.machine.drain(now));
  made.run(1_500);
  t.same(notOnce(made, client), []);
  t.ok(client.machine.counters.resentMissing >= 6_000);
  t.equal(client.machine.counters.resentUnsure, 0);
  t.end();
});

t.test('what is sent again leaves a little at a time', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(400, 5);
  made.kill('alpha');
  for (let index = 0; index < 200; index += 1) client.host.perform(() => client.say());
  let most = 0;
  for (let before = client.machine.counters.sent, step = 0; step < 400; step += 1) {
    made.run(0.5);
    const { sent } = client.machine.counters;
    most = Math.max(most, sent - before);
    before = sent;
  }
  t.ok(most <= 70, `${most} at once`);
  t.ok(client.machine.counters.resentUnsure >= 200);
  t.same(notOnce(made, client), []);
  t.end();
});

t.test('a drain loses nothing even if no standby was ready', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', ['alpha']);
  made.talk(400, 5);
  client.run((now) => client.machine.setCandidates(['alpha', 'bravo'], now));
  const node = made.node('alpha');
  node.run((now) => node.machine.drain(now));
  made.talk(400, 5);
  made.run(200);
  t.same(notOnce(made, client), []);
  t.equal(client.machine.endpoint, 'bravo');
  t.same(moves(client), ['left'], 'it counts like any other move');
  t.end();
});

t.test('LEAVE gets through a network that loses half of it', (t) => {
  const made = threeNodes({ ...QUIET, loss: 0.5 });
  const client = made.startClient('client', NAMES);
  made.talk(2_000);
  const node = made.node(client.machine.endpoint ?? '');
  node.run((now) => node.machine.drain(now));
  made.talk(6_000);
  t.ok(node.events.some(({ kind }) => kind === 'drained'));
  t.not(client.machine.endpoint, node.name);
  t.end();
});
