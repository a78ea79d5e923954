import t from 'tap';
import { GROUP_ENDPOINT, OWN_PORT, SimulatedGroup } from './simulated-group.ts';

t.test('members find each other by their heartbeats', (t) => {
  const cluster = new SimulatedGroup({ seed: 1 });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  t.same(cluster.view(alpha!), ['bravo', 'charlie']);
  t.same(cluster.view(charlie!), ['alpha', 'bravo']);
  t.ok(cluster.simulator.now < 100, `in ${cluster.simulator.now} ms`);
  t.ok(bravo);
  t.end();
});

t.test('a single write to two members is three packets: one out, two acknowledgements', (t) => {
  const cluster = new SimulatedGroup({ seed: 2 });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  cluster.simulator.run(1_000);
  const ticket = cluster.send(alpha!, 'a session');
  cluster.until(() => alpha!.ended.get(ticket) === 'replicated');
  t.same(bravo!.messages, ['a session']);
  t.same(charlie!.messages, ['a session']);
  t.equal(alpha!.group.counters.sent.data, 1);
  t.equal(bravo!.group.counters.sent.acknowledgement, 1);
  t.equal(charlie!.group.counters.sent.acknowledgement, 1);
  t.end();
});

t.test('with a third of all datagrams lost every message arrives, once and in order', (t) => {
  const cluster = new SimulatedGroup({
    seed: 3,
    faults: { loss: 0.33, ownLoss: 0.33, duplicate: 0.2, delayMeanMs: 5 },
  });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  const sent = Array.from({ length: 300 }, (_, index) => `${index}`.padEnd((index * 37) % 3_000));
  let last = 0;
  for (const text of sent) {
    last = cluster.send(alpha!, text);
    cluster.simulator.run(1);
  }
  cluster.until(() => alpha!.ended.has(last), 60_000);
  cluster.until(() => charlie!.messages.length >= 300 && bravo!.messages.length >= 300, 60_000);
  t.strictSame(bravo!.messages, sent);
  t.strictSame(charlie!.messages, sent);
  t.ok(alpha!.group.outbound.repairs > 0);
  t.end();
});

t.test('the last segment of a burst, lost for all, is repaired', (t) => {
  const cluster = new SimulatedGroup({ seed: 4 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.simulator.network.faults.loss = 1;
  const ticket = cluster.send(alpha!, 'lost at first');
  cluster.simulator.run(5);
  cluster.simulator.network.faults.loss = 0;
  const lostAt = cluster.simulator.now;
  cluster.until(() => alpha!.ended.get(ticket) === 'replicated');
  t.same(bravo!.messages, ['lost at first']);
  t.ok(cluster.simulator.now - lostAt < 50, `after ${cluster.simulator.now - lostAt} ms`);
  t.end();
});

t.test('a process that died is noticed by its link, long before its silence', (t) => {
  const cluster = new SimulatedGroup({ seed: 5 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo', 'charlie');
  cluster.simulator.run(1_000);
  cluster.members.get('charlie')?.host.crash();
  const diedAt = cluster.simulator.now;
  cluster.until(() => cluster.gone(alpha!).length > 0 && cluster.gone(bravo!).length > 0);
  t.same(cluster.gone(alpha!), ['charlie gone']);
  t.ok(cluster.simulator.now - diedAt < 10, `after ${cluster.simulator.now - diedAt} ms`);
  t.end();
});

t.test('a dying process that still takes connections is asked until it refuses', (t) => {
  const cluster = new SimulatedGroup({ seed: 17, faults: { dyingMs: 30 } });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo', 'charlie');
  cluster.simulator.run(1_000);
  cluster.members.get('charlie')?.host.crash();
  const diedAt = cluster.simulator.now;
  cluster.until(() => cluster.gone(alpha!).length > 0 && cluster.gone(bravo!).length > 0);
  t.same([...cluster.gone(alpha!), ...cluster.gone(bravo!)], ['charlie gone', 'charlie gone']);
  t.ok(cluster.simulator.now - diedAt < 100, `after ${cluster.simulator.now - diedAt} ms`);
  t.end();
});

t.test('who starts again on a dead member’s port proves it dead', (t) => {
  const cluster = new SimulatedGroup({ seed: 6 });
  const [alpha] = cluster.assemble('alpha', 'bravo');
  cluster.simulator.run(1_000);
  cluster.members.get('bravo')?.host.crash();
  const again = cluster.start('bravo');
  cluster.until(() => cluster.gone(alpha!).length > 0);
  cluster.until(() => cluster.view(again).length === 1 && cluster.view(alpha!).length === 1);
  t.same(cluster.gone(alpha!), ['bravo gone']);
  t.end();
});

t.test('a frozen member is excluded as silent, and joins as a new incarnation', (t) => {
  const cluster = new SimulatedGroup({ seed: 7 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  const before = bravo!.group.incarnation;
  bravo!.host.pause();
  const frozenAt = cluster.simulator.now;
  const ticket = cluster.send(alpha!, 'while it is frozen');
  cluster.until(() => alpha!.ended.has(ticket));
  t.same(cluster.gone(alpha!), ['bravo silent']);
  t.ok(cluster.simulator.now - frozenAt < 3_600, 'writers wait no longer than that');
  cluster.simulator.run(2_000);
  bravo!.host.resume();
  cluster.until(() => cluster.view(alpha!).length === 1);
  t.not(bravo!.group.incarnation, before);
  t.same(bravo!.events.filter(({ kind }) => kind === 'restarted').length, 1);
  t.end();
});

t.test('who stood still sends nothing more as who it was, whatever it is asked first', (t) => {
  const cluster = new SimulatedGroup({ seed: 18 });
  const [, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.simulator.run(1_000);
  const before = Buffer.from(bravo!.group.incarnation, 'hex');
  bravo!.host.pause();
  cluster.simulator.run(3_500);
  const sealed: Uint8Array[] = [];
  cluster.simulator.network.tap = (bytes) => sealed.push(bytes.slice());
  cluster.send(bravo!, 'a client was waiting');
  bravo!.host.resume();
  cluster.simulator.run(1_000);
  const old = sealed.filter((bytes) => before.equals(bytes.subarray(16, 32)));
  t.ok(sealed.length > 0);
  t.equal(old.length, 0);
  t.end();
});

t.test('who could not read acknowledgements does not blame those who sent them', (t) => {
  const cluster = new SimulatedGroup({ seed: 19 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.simulator.run(1_000);
  bravo!.host.pause();
  const ticket = cluster.send(alpha!, 'while one stands still');
  cluster.simulator.run(1_000);
  alpha!.host.pause();
  cluster.simulator.run(500);
  bravo!.host.resume();
  cluster.simulator.run(1_800);
  alpha!.host.resume();
  cluster.until(() => alpha!.ended.has(ticket));
  t.same([...cluster.gone(alpha!), ...cluster.gone(bravo!)], []);
  t.end();
});

t.test('a stall shorter than two seconds costs nobody his place', (t) => {
  const cluster = new SimulatedGroup({ seed: 8 });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  for (let stall = 0; stall < 5; stall += 1) {
    bravo!.host.pause();
    cluster.simulator.run(1_900);
    bravo!.host.resume();
    cluster.simulator.run(700);
  }
  for (const member of [alpha!, bravo!, charlie!]) t.same(cluster.gone(member), []);
  t.end();
});

t.test('after a cut the smaller part joins the larger one anew', (t) => {
  const cluster = new SimulatedGroup({ seed: 9 });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  const before = [alpha!, bravo!, charlie!].map(({ group }) => group.incarnation);
  cluster.simulator.network.partition(
    [['alpha', 'bravo'], ['charlie']],
    ['alpha', 'bravo', 'charlie'],
  );
  cluster.until(() => cluster.view(alpha!).length === 1 && cluster.view(charlie!).length === 0);
  cluster.simulator.network.heal();
  cluster.until(() => [alpha!, bravo!, charlie!].every((one) => cluster.view(one).length === 2));
  t.equal(alpha!.group.incarnation, before[0]);
  t.equal(bravo!.group.incarnation, before[1]);
  t.not(charlie!.group.incarnation, before[2]);
  t.end();
});

t.test('who was excluded by a member that it never admitted gets together with it', (t) => {
  for (let seed = 20; seed < 30; seed += 1) {
    const cluster = new SimulatedGroup({ seed });
    const [bravo, charlie] = cluster.assemble('bravo', 'charlie');
    const alpha = cluster.start('alpha');
    // The heartbeat in which alpha names charlie is on its way, and does not arrive.
    cluster.until(() => cluster.view(alpha).includes('charlie'));
    t.same(cluster.view(charlie!), ['bravo']);
    cluster.simulator.network.cut('alpha', 'charlie');
    cluster.until(() => cluster.gone(alpha).includes('charlie deaf'));
    cluster.simulator.network.heal();
    cluster.until(() => [alpha, bravo!, charlie!].every((one) => cluster.view(one).length === 2));
  }
  t.end();
});

t.test('a member that says good-bye is gone at once, and keeps nobody waiting', (t) => {
  const cluster = new SimulatedGroup({ seed: 10 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  bravo!.driver.run(() => bravo!.group.leave());
  bravo!.driver.close();
  cluster.until(() => cluster.gone(alpha!).length > 0, 5);
  t.same(cluster.gone(alpha!), ['bravo left']);
  t.end();
});

t.test('of two live members of one name the younger is refused', (t) => {
  const cluster = new SimulatedGroup({ seed: 11 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.simulator.run(1_000);
  const impostor = cluster.start('alpha', {}, 'elsewhere');
  cluster.until(() => impostor.events.some(({ kind }) => kind === 'refused'));
  t.notOk(alpha!.events.some(({ kind }) => kind === 'refused'));
  t.same(cluster.view(alpha!), ['bravo']);
  t.ok(bravo);
  t.end();
});

t.test('recordings of a dead member move nobody who started later', (t) => {
  const cluster = new SimulatedGroup({ seed: 12 });
  const recording: Uint8Array[] = [];
  cluster.simulator.network.tap = (bytes) => recording.push(bytes.slice());
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.send(bravo!, 'from the dead');
  cluster.simulator.run(2_000);
  cluster.simulator.network.tap = undefined;
  bravo!.host.crash();
  cluster.simulator.run(1_000);
  const late = cluster.start('late');
  cluster.until(() => cluster.view(late).length === 1 && cluster.view(alpha!).length === 1);
  const counted = () => [...late.group.counters.dropped.values()].reduce((a, b) => a + b, 0);
  const [sentBefore, droppedBefore] = [late.messages.length, counted()];
  const from = { address: '198.18.0.99', port: 1 };
  for (let round = 0; round < 3; round += 1) {
    for (const bytes of recording) {
      late.driver.run((now) => late.group.handleDatagram(bytes, from, 'group', now));
      alpha!.driver.run((now) => alpha!.group.handleDatagram(bytes, from, 'group', now));
    }
    cluster.simulator.run(500);
  }
  t.equal(late.messages.length, sentBefore);
  t.same(cluster.view(late), ['alpha'], 'no ghost in the view');
  t.same(cluster.view(alpha!), ['late']);
  t.ok(counted() > droppedBefore + recording.length, 'each was counted');
  t.end();
});

t.test('a heartbeat that somebody sends on from elsewhere leads nobody there', (t) => {
  const cluster = new SimulatedGroup({ seed: 18 });
  const alpha = cluster.start('alpha');
  cluster.simulator.run(100);
  const elsewhere = { address: '198.18.0.99', port: 1 };
  cluster.simulator.network.tap = (bytes) => {
    const copy = bytes.slice();
    alpha.driver.run((now) => alpha.group.handleDatagram(copy, elsewhere, 'group', now));
  };
  const bravo = cluster.start('bravo');
  cluster.until(() => alpha.group.members.length === 1 && bravo.group.members.length === 1);
  cluster.simulator.run(3_000);
  t.same(alpha.group.members[0]?.endpoint, { address: bravo.host.address, port: OWN_PORT });
  t.same(cluster.gone(alpha), []);
  t.ok(alpha.group.linked(bravo.group.incarnation));
  t.end();
});

t.test('another cluster on the same group is counted, told once, and changes nothing', (t) => {
  const cluster = new SimulatedGroup({ seed: 13 });
  const [alpha] = cluster.assemble('alpha', 'bravo');
  cluster.start('foreign', { clusterKey: new Uint8Array(32).fill(1) });
  cluster.simulator.run(5_000);
  t.same(cluster.view(alpha!), ['bravo']);
  t.ok((alpha!.group.counters.dropped.get('cluster') ?? 0) > 10);
  const told = alpha!.events.filter(({ kind }) => kind === 'dropped');
  t.same(told.length, 1);
  t.end();
});

t.test('where no multicast arrives, greetings by unicast make the members known', (t) => {
  const cluster = new SimulatedGroup({ seed: 14 });
  const alpha = cluster.start('alpha');
  const members = [{ address: alpha.host.address, port: OWN_PORT }];
  const bravo = cluster.start('bravo', { members });
  cluster.until(() => cluster.view(alpha).length === 1 && cluster.view(bravo).length === 1);
  t.ok(bravo.group.counters.sent.heartbeat > 0);
  t.end();
});

t.test('noise, truncations and mutations of real segments never throw', (t) => {
  const cluster = new SimulatedGroup({ seed: 15 });
  const recording: Uint8Array[] = [];
  cluster.simulator.network.tap = (bytes) => recording.push(bytes.slice());
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.send(alpha!, 'x'.repeat(5_000));
  cluster.simulator.run(500);
  const { random } = cluster.simulator;
  for (let index = 0; index < 5_000; index += 1) {
    const bytes = random.chance(0.5)
      ? random.bytes(random.below(200))
      : random.pick(recording).slice();
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
    const cut = random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
    bravo!.driver.run((now) => bravo!.group.handleDatagram(cut, GROUP_ENDPOINT, 'group', now));
  }
  t.same(cluster.view(bravo!), ['alpha']);
  t.equal(bravo!.messages.length, 1);
  t.end();
});

t.test('bytes of a link that no member sends end the link, not the process', (t) => {
  const cluster = new SimulatedGroup({ seed: 16 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.simulator.run(1_000);
  const { random } = cluster.simulator;
  for (let index = 1; index <= 200; index += 1) {
    const link = -1_000 - index;
    const from = { address: '198.18.0.99', port: 1 };
    alpha!.driver.run((now) => alpha!.group.handleLink({ kind: 'accepted', link, from }, now));
    const bytes = random.bytes(random.below(300));
    alpha!.driver.run((now) => alpha!.group.handleLink({ kind: 'bytes', link, bytes }, now));
  }
  t.same(cluster.view(alpha!), ['bravo']);
  t.ok(alpha!.group.linked(bravo!.group.incarnation));
  t.end();
});
