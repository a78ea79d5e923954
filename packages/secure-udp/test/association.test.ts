import t from 'tap';
import { type SuiteName, SUITES } from '../src/suite.ts';
import { moves, NAMES, notOnce, threeNodes } from './lab.ts';
import type { ClientProcess } from './processes.ts';

for (const suite of Object.keys(SUITES) as SuiteName[]) {
  t.test(`${suite}: payloads go both ways, each once, and a kill loses none`, (t) => {
    const made = threeNodes();
    const client = made.startClient('client', NAMES, { suite });
    made.talk(1_000);
    t.same([client.machine.endpoint, client.machine.standbys], ['alpha', ['bravo', 'charlie']]);
    t.same(notOnce(made, client), []);
    made.kill('alpha');
    made.talk(1_000);
    made.run(100);
    t.equal(client.machine.endpoint, 'bravo');
    t.equal(client.arrivals.size, client.number);
    t.equal(new Set(client.received).size, client.number, 'and every answer came');
    t.end();
  });
}

t.test('a client whose address changes is found again, and hardly notices', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(1_000);
  client.rebind();
  made.talk(2_000);
  t.equal(made.node('alpha').machine.counters.moves, 1);
  t.same(moves(client), [], 'it is the same node');
  const answered = client.received.filter((number) => number > client.number - 50);
  t.equal(answered.length, 49, 'all but the one under way');
  t.end();
});

t.test('a node that starts again takes over from itself, and what it lost is sent again', (t) => {
  const made = threeNodes();
  made.refusals = false;
  const client = made.startClient('client', ['alpha']);
  made.talk(1_000, 5);
  made.kill('alpha');
  made.talk(10, 5);
  made.startNode('alpha');
  made.talk(1_000, 5);
  made.run(200);
  t.same(moves(client), ['taken']);
  t.equal(client.arrivals.size, client.number);
  t.end();
});

t.test('behind a balancer the next node takes over in one round trip', (t) => {
  const made = threeNodes();
  made.startBalancer();
  const client = made.startClient('client', ['balancer']);
  made.talk(1_000);
  const owners = new Set<string>();
  for (let round = 0; round < 10; round += 1) {
    made.balancer?.deal();
    made.talk(500);
    for (const [name, { machine }] of made.nodes)
      if (machine.counters.payloadsIn > 0) owners.add(name);
  }
  made.run(100);
  t.equal(owners.size, 3);
  t.ok(moves(client).length >= 3 && moves(client).every((reason) => reason === 'taken'));
  t.equal(client.arrivals.size, client.number, 'nothing is lost');
  t.end();
});

t.test('two nodes that take the same association at once relay each record once', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(500);
  for (let round = 0; round < 50; round += 1) {
    client.run((now) => client.machine.send(payloadOf(client), now));
    const sent = made.checker.recording.at(-1);
    for (const node of made.nodes.values()) if (sent) made.replay(node, sent, client.endpoint);
    made.run(20);
  }
  t.same(notOnce(made, client), []);
  t.same(moves(client), [], 'and what others offer moves nobody');
  t.end();
});

function payloadOf(client: ClientProcess): Buffer {
  client.number += 1;
  const payload = Buffer.alloc(60);
  payload.writeUInt32BE(client.number, 8);
  return payload;
}

t.test('a former owner that comes back serves nobody for long, and is a standby again', (t) => {
  const made = threeNodes();
  made.refusals = false;
  const client = made.startClient('client', NAMES);
  made.talk(1_000);
  made.node('alpha').host.pause();
  made.talk(1_000);
  t.same([client.machine.endpoint, moves(client)], ['bravo', ['silent']]);
  made.node('alpha').host.resume();
  made.talk(3_000);
  t.equal(client.machine.endpoint, 'bravo', 'nobody moves back');
  t.ok(client.machine.standbys.includes('alpha'));
  t.ok(made.node('alpha').events.some(({ kind }) => kind === 'let go'));
  t.equal(made.records.get(client.id)?.owner, 'bravo');
  t.end();
});

t.test('who stood still for longer than its peers allow begins with new epochs', (t) => {
  const made = threeNodes();
  made.refusals = false;
  const client = made.startClient('client', NAMES);
  made.talk(1_000);
  made.node('alpha').host.pause();
  made.talk(3_500);
  made.node('alpha').host.resume();
  made.talk(2_000);
  t.equal(made.node('alpha').machine.counters.stoodStill, 1);
  t.ok(client.machine.standbys.includes('alpha'));
  client.host.pause();
  made.run(3_500);
  client.host.resume();
  made.talk(1_000);
  t.equal(client.machine.counters.stoodStill, 1);
  t.ok(client.arrivals.has(client.number - 2));
  t.end();
});

t.test('a client that stood still is told apart from one that was idle', (t) => {
  for (const pauseMs of [2_000, 4_000]) {
    const made = threeNodes();
    const client = made.startClient('client', NAMES);
    made.talk(500);
    made.run(12_000);
    client.host.pause();
    made.run(pauseMs);
    client.host.resume();
    client.host.perform(() => client.say());
    made.run(500);
    t.equal(client.machine.counters.stoodStill, pauseMs > 3_000 ? 1 : 0);
    t.same(notOnce(made, client), []);
  }
  t.end();
});

t.test('an epoch that is worn is followed by another, and nothing is lost', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES, { rekeyRecords: 100 });
  made.talk(3_000, 5);
  made.run(100);
  t.ok(client.machine.counters.epochsOpened >= 7, `${client.machine.counters.epochsOpened}`);
  t.same(notOnce(made, client), []);
  t.same(moves(client), []);
  t.ok(made.node('alpha').machine.counters.epochs <= 4);
  t.end();
});

t.test('after an hour too', (t) => {
  const made = threeNodes();
  made.echoes = false;
  const client = made.startClient('client', NAMES);
  made.talk(3_700_000, 30_000);
  t.equal(client.machine.counters.epochsOpened, 4);
  t.same(moves(client), []);
  t.same(notOnce(made, client), []);
  t.end();
});

t.test('the client ends it at every node', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(500);
  client.run((now) => client.machine.end(now));
  made.run(200);
  t.notOk(made.records.has(client.id));
  for (const { machine } of made.nodes.values()) t.equal(machine.size, 0);
  t.match(client.events.at(-1), { kind: 'ended', reason: 'closed' });
  t.equal(client.machine.send(Buffer.from('late'), made.simulator.now), 'ended');
  t.equal(client.machine.deadline, Infinity);
  t.end();
});

t.test('DELETE ends it at the client', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(500);
  made.delete(client.id);
  made.talk(500);
  t.match(client.events.at(-1), { kind: 'ended', reason: 'deleted' });
  for (const { machine } of made.nodes.values()) t.equal(machine.size, 0);
  t.end();
});

t.test('where nothing answers the client says so, and asks on', (t) => {
  const made = threeNodes();
  for (const name of NAMES) made.kill(name);
  made.refusals = false;
  const client = made.startClient('client', NAMES);
  made.talk(4_000, 100);
  t.same(client.events, [{ kind: 'unreachable' }]);
  t.ok(client.machine.counters.hellos < 25, `${client.machine.counters.hellos}`);
  made.startNode('bravo');
  made.talk(3_000, 100);
  t.same(
    client.events.map(({ kind }) => kind),
    ['unreachable', 'reached'],
  );
  t.equal(client.machine.endpoint, 'bravo');
  t.ok(client.arrivals.has(client.number - 1));
  t.ok(client.machine.counters.givenUp > 0, 'what waited too long was given up, and counted');
  t.end();
});

t.test('without a standby a death costs a round trip more, and nothing is lost', (t) => {
  const made = threeNodes();
  made.refusals = false;
  const client = made.startClient('client', NAMES, { standbys: 0 });
  made.talk(1_000);
  t.same(client.machine.standbys, []);
  made.kill('alpha');
  made.talk(1_000);
  made.run(100);
  t.same(moves(client), ['taken']);
  t.equal(client.machine.endpoint, 'bravo');
  t.equal(client.arrivals.size, client.number);
  t.end();
});

t.test('when all that are ready die at once, the others are asked', (t) => {
  const made = threeNodes();
  made.refusals = false;
  const client = made.startClient('client', NAMES, { standbys: 1 });
  made.talk(1_000);
  made.kill('alpha');
  made.kill('bravo');
  made.talk(1_000);
  made.run(100);
  t.equal(client.machine.endpoint, 'charlie');
  t.equal(client.arrivals.size, client.number);
  t.end();
});

t.test('nothing is sent twice if that is turned off', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES, { resend: { datagrams: 0, ageMs: 0 } });
  made.refusals = false;
  made.talk(1_000);
  made.node('alpha').host.pause();
  made.talk(1_000);
  made.node('alpha').host.resume();
  made.talk(1_000);
  const twice = notOnce(made, client).filter((number) => made.checker.relaysOf(client, number) > 1);
  t.same(twice, []);
  t.equal(client.machine.counters.resentUnsure, 0);
  t.ok(client.machine.counters.unsure > 0);
  t.end();
});

t.test('a node that is no candidate any more is left, and loses nothing', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(1_000);
  client.run((now) => client.machine.setCandidates(['charlie', 'bravo'], now));
  made.talk(1_000);
  t.same([client.machine.endpoint, moves(client)], ['charlie', ['removed']]);
  t.same(notOnce(made, client), []);
  t.equal(client.machine.standbys.length, 1);
  t.end();
});

t.test('what was under way to a node that died and was removed at once is sent again', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(1_000, 5);
  made.kill('alpha');
  client.run((now) => client.machine.setCandidates(['bravo', 'charlie'], now));
  made.talk(500, 5);
  made.run(100);
  t.same(moves(client), ['removed']);
  t.equal(client.arrivals.size, client.number);
  t.ok(client.machine.counters.resentUnsure > 0);
  t.end();
});

t.test('a payload that is too large is refused, the largest is not', (t) => {
  for (const suite of Object.keys(SUITES) as SuiteName[]) {
    const made = threeNodes();
    const client = made.startClient('client', NAMES, { suite });
    const most = client.machine.payloadBytesMax;
    client.say(most);
    made.run(100);
    client.say(most);
    made.run(100);
    t.equal(client.arrivals.size, 2, `${suite}: ${most}`);
    t.equal(client.machine.send(Buffer.alloc(most + 1), made.simulator.now), 'too large');
    t.equal(client.machine.counters.tooLarge, 1);
  }
  t.end();
});

t.test('an idle association costs next to nothing, and is there when it is wanted', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(100);
  made.run(30_000);
  const before = client.machine.counters.sent;
  made.run(600_000);
  const sent = client.machine.counters.sent - before;
  t.ok(sent <= 3 * 41, `${sent} records in ten minutes at three nodes`);
  made.talk(200);
  made.run(50);
  t.same(notOnce(made, client), []);
  made.kill('alpha');
  made.refusals = false;
  made.run(20_000);
  t.equal(client.machine.endpoint, 'bravo', 'a death is noticed without a payload too');
  t.end();
});

t.test(
  'a standby is asked every 15 s; one that does not answer is replaced, and tried again',
  (t) => {
    const made = threeNodes();
    made.refusals = false;
    const client = made.startClient('client', NAMES, { standbys: 1 });
    made.talk(1_000);
    t.same(client.machine.standbys, ['bravo']);
    const opened = () => made.node('bravo').machine.counters.opened;
    const before = opened();
    made.talk(60_000, 100);
    t.equal(opened() - before, 4);
    made.kill('bravo');
    made.talk(18_000, 100);
    t.same(client.machine.standbys, ['charlie']);
    made.startNode('bravo');
    made.talk(8_000, 100);
    t.same(client.machine.standbys, ['bravo'], 'it is preferred, and the other one was told');
    t.equal(made.node('charlie').machine.size, 0);
    t.same(moves(client), []);
    t.end();
  },
);

t.test('of what a stranger replays nothing is relayed, and each is counted', (t) => {
  const made = threeNodes();
  const client = made.startClient('client', NAMES);
  made.talk(1_000);
  made.kill('alpha');
  made.talk(1_000);
  made.startNode('alpha');
  made.talk(1_000);
  const recorded = [...made.checker.recording];
  const counted = (name: string) => {
    const { dropped, takes } = made.node(name).machine.counters;
    return [...dropped.values()].reduce((sum, count) => sum + count, takes);
  };
  for (const name of NAMES) {
    const before = [counted(name), made.node(name).machine.counters.payloadsIn];
    for (const datagram of recorded)
      made.replay(made.node(name), datagram, { address: '198.18.9.9', port: 9 });
    made.run(100);
    t.equal(made.node(name).machine.counters.payloadsIn, before[1], name);
    t.ok(counted(name) - before[0]! >= recorded.length, `${name}: each is counted`);
  }
  made.talk(200);
  t.ok(client.arrivals.has(client.number - 1), 'and the client goes on');
  t.end();
});
