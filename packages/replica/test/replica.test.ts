import { SegmentKind } from '@argyle/multicast';
import t from 'tap';
import { type Member, SimulatedReplicas, TABLE } from './simulated-replicas.ts';

t.test('a write is in every replica when it is reported', (t) => {
  const cluster = new SimulatedReplicas({ seed: 1, faults: { loss: 0.2 } });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  const ticket = cluster.add(alpha!, 'id', 'session');
  t.equal(cluster.read(alpha!, 'id'), 'session', 'at once where it was written');
  cluster.until(() => cluster.outcome(alpha!, ticket) !== undefined);
  t.equal(cluster.outcome(alpha!, ticket), 'replicated');
  t.equal(cluster.read(bravo!, 'id'), 'session');
  t.equal(cluster.read(charlie!, 'id'), 'session');
  t.end();
});

t.test('a deleted record stays deleted, everywhere', (t) => {
  const cluster = new SimulatedReplicas({ seed: 2 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  cluster.add(alpha!, 'id', 'session');
  cluster.simulator.run(10);
  const ticket = cluster.remove(bravo!, 'id');
  cluster.until(() => cluster.outcome(bravo!, ticket) === 'replicated');
  t.equal(cluster.read(alpha!, 'id'), undefined);
  const late = cluster.start('late');
  cluster.until(() => late.replica.state === 'ready');
  t.equal(cluster.read(late, 'id'), undefined);
  t.ok(cluster.equal([alpha!, bravo!, late]));
  t.end();
});

t.test('a joiner holds everything before it is ready, while others go on writing', (t) => {
  const cluster = new SimulatedReplicas({ seed: 3, faults: { loss: 0.05 } });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  const keys: string[] = [];
  const write = () => {
    keys.push(`key ${keys.length}`);
    return cluster.add(keys.length % 2 ? alpha! : bravo!, keys.at(-1) ?? '', 'v'.repeat(500));
  };
  for (let count = 0; count < 2_000; count += 1) {
    write();
    cluster.simulator.run(0.5);
  }
  cluster.simulator.run(2_000);
  const joiner = cluster.start('joiner');
  let written = keys.length;
  let writeAt = cluster.simulator.now;
  cluster.until(() => {
    if (cluster.simulator.now >= writeAt) {
      write();
      writeAt += 1;
    }
    const ready = joiner.replica.state === 'ready';
    if (!ready) written = keys.length;
    return ready;
  });
  const old = keys.slice(0, 2_000).filter((key) => cluster.read(joiner, key) === undefined);
  t.same(old, [], 'ready means whole');
  t.ok(written > 2_000, `${written - 2_000} writes came while it joined`);
  cluster.until(() => keys.every((key) => cluster.read(joiner, key) !== undefined));
  t.end();
});

t.test('who joins in the middle of a long message has it from its donor when it is ready', (t) => {
  const cluster = new SimulatedReplicas({ seed: 12 });
  const [bravo] = cluster.assemble('bravo');
  const alpha = cluster.start('alpha');
  cluster.until(() => alpha.replica.state === 'ready');
  let deaf = true;
  cluster.simulator.network.script = ({ bytes, from, to, channel }) =>
    bytes[1] === SegmentKind.data &&
    to === 'bravo' &&
    from === 'alpha' &&
    (deaf || channel === 'group');
  // More fragments than the window takes: the stream stops within the message.
  cluster.add(alpha, 'long', 'v'.repeat(60_000));
  cluster.simulator.run(200);
  const joiner = cluster.start('joiner');
  cluster.until(() => joiner.replica.reason === 'taking records from bravo');
  const joinedAt = joiner.replica.group.members.map(({ inbound }) => inbound?.joinedAt);
  t.ok(
    Math.max(...joinedAt.map((at) => at ?? 0)) > 20,
    'it will pass the rest of the message over',
  );
  deaf = false;
  cluster.until(() => joiner.replica.state === 'ready');
  t.equal(cluster.read(joiner, 'long')?.length, 60_000);
  t.ok(bravo);
  t.end();
});

t.test('who goes first asks those again who have met another since', (t) => {
  const cluster = new SimulatedReplicas({ seed: 13 });
  const { network } = cluster.simulator;
  const members = ['alpha', 'bravo', 'charlie'].map((name) => {
    cluster.simulator.run(50);
    return cluster.start(name);
  });
  cluster.simulator.run(750);
  const incarnation = ({ replica }: Member) => replica.group.incarnation;
  const [first] = members.toSorted((a, b) => (incarnation(a) < incarnation(b) ? -1 : 1));
  const [asked, unasked] = members.filter((member) => member !== first);
  const apart = (name: string) => {
    network.cut(first!.host.name, name);
    network.cut(name, first!.host.name);
  };
  apart(unasked!.host.name);
  cluster.until(() => first!.replica.exchanges === 1);
  apart('newcomer');
  const newcomer = cluster.start('newcomer');
  cluster.until(() => newcomer.replica.group.members.length === 2);
  cluster.simulator.run(300);
  const ticket = cluster.add(newcomer, 'id', 'session');
  cluster.until(() => cluster.outcome(newcomer, ticket) === 'replicated');
  network.heal();
  apart(unasked!.host.name);
  cluster.until(() => first!.replica.group.members.length === 3);
  // Of those who hold the record only one is left, and it was asked before it had it.
  newcomer.host.crash();
  unasked!.host.crash();
  cluster.until(() => first!.replica.state === 'ready');
  t.equal(cluster.read(asked!, 'id'), 'session');
  t.equal(cluster.read(first!, 'id'), 'session');
  t.end();
});

t.test('a donor that dies in the middle is replaced by another', (t) => {
  const cluster = new SimulatedReplicas({ seed: 4 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  for (let count = 0; count < 3_000; count += 1) {
    cluster.add(alpha!, `key ${count}`, 'v'.repeat(600));
    cluster.simulator.run(0.2);
  }
  cluster.simulator.run(3_000);
  const joiner = cluster.start('joiner');
  const records = () => joiner.replica.cache.records;
  cluster.until(() => records() > 100 && records() < 2_900);
  const exchange = joiner.replica.reason;
  const donor = exchange.includes('alpha') ? alpha! : bravo!;
  donor.host.crash();
  cluster.until(() => joiner.replica.state === 'ready');
  t.equal(records(), 3_000);
  t.ok(
    joiner.events.some((event) => event.kind === 'exchanged' && event.result.failure !== undefined),
  );
  t.end();
});

t.test('both sides of a partition keep what they wrote, and merge', (t) => {
  const cluster = new SimulatedReplicas({ seed: 5 });
  const names = ['alpha', 'bravo', 'charlie', 'delta'];
  const members = cluster.assemble(...names);
  const [alpha, bravo, charlie] = members;
  cluster.add(alpha!, 'shared', 'before');
  cluster.simulator.run(100);
  cluster.simulator.network.partition([names.slice(0, 2), names.slice(2)], names);
  cluster.simulator.run(4_000);
  t.equal(alpha!.replica.group.members.length, 1, 'each part says who is left');
  const east = cluster.add(alpha!, 'east', '1');
  const west = cluster.add(charlie!, 'west', '2');
  cluster.add(bravo!, 'shared', 'east');
  cluster.simulator.run(10);
  cluster.add(charlie!, 'shared', 'west');
  cluster.until(() => cluster.outcome(alpha!, east) === 'replicated');
  cluster.until(() => cluster.outcome(charlie!, west) === 'replicated');
  cluster.simulator.network.heal();
  const whole = () =>
    members.every(({ replica }) => replica.state === 'ready' && replica.group.members.length === 3);
  cluster.until(() => whole() && cluster.equal(members));
  for (const member of members) {
    t.equal(cluster.read(member, 'east'), '1');
    t.equal(cluster.read(member, 'west'), '2');
    t.equal(cluster.read(member, 'shared'), 'west', 'the newer write wins');
  }
  t.end();
});

t.test('a purge ends what came before it, also what is still on its way to a joiner', (t) => {
  const cluster = new SimulatedReplicas({ seed: 6 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  for (let count = 0; count < 2_000; count += 1) {
    cluster.add(alpha!, `key ${count}`, 'v'.repeat(600));
    cluster.simulator.run(0.2);
  }
  cluster.simulator.run(3_000);
  const joiner = cluster.start('joiner');
  cluster.until(() => joiner.replica.cache.records > 100);
  cluster.purge(bravo!);
  cluster.add(bravo!, 'after', 'kept');
  cluster.until(() => joiner.replica.state === 'ready');
  cluster.until(() => cluster.equal([alpha!, bravo!, joiner]), 1_000);
  t.equal(joiner.replica.cache.records, 1);
  t.equal(cluster.read(joiner, 'after'), 'kept');
  t.end();
});

t.test('a sender’s last segment that reached only some is brought to the others', (t) => {
  const cluster = new SimulatedReplicas({ seed: 7 });
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  cluster.simulator.run(1_000);
  cluster.simulator.network.cut('alpha', 'charlie');
  cluster.add(alpha!, 'id', 'session');
  cluster.until(() => cluster.read(bravo!, 'id') !== undefined);
  alpha!.host.crash();
  cluster.simulator.network.heal();
  t.equal(cluster.read(charlie!, 'id'), undefined);
  const diedAt = cluster.simulator.now;
  cluster.until(() => cluster.read(charlie!, 'id') === 'session');
  t.ok(cluster.simulator.now - diedAt < 1_000, `after ${cluster.simulator.now - diedAt} ms`);
  t.ok(cluster.equal([bravo!, charlie!]));
  t.end();
});

t.test('a record ends at its expiry in every replica, whatever the clocks of others say', (t) => {
  const cluster = new SimulatedReplicas({ seed: 8 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  bravo!.host.skewClock(1_500);
  cluster.add(alpha!, 'id', 'session', 3_000);
  cluster.simulator.run(100);
  t.equal(cluster.read(bravo!, 'id'), 'session');
  cluster.simulator.run(1_500);
  t.equal(cluster.read(alpha!, 'id'), 'session');
  t.equal(cluster.read(bravo!, 'id'), undefined, 'its clock is ahead');
  cluster.simulator.run(5_000);
  t.equal(cluster.read(alpha!, 'id'), undefined);
  t.ok(cluster.equal([alpha!, bravo!]));
  const skews = alpha!.replica.group.members.map(({ skewMs }) => Math.round(skewMs / 100) * 100);
  t.same(skews, [1_500], 'operators can see it');
  t.end();
});

t.test('a table that is watched tells of others’ writes, also of older ones', (t) => {
  const cluster = new SimulatedReplicas({ seed: 9 });
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  bravo!.replica.watched.add(TABLE);
  bravo!.host.skewClock(10_000);
  cluster.add(bravo!, 'id', 'newer');
  cluster.add(alpha!, 'id', 'older');
  cluster.simulator.run(50);
  t.equal(cluster.read(bravo!, 'id'), 'newer');
  const changes = bravo!.events.filter(({ kind }) => kind === 'changed');
  t.match(changes, [{ kind: 'changed', table: TABLE, change: 'put', key: Buffer.from('id') }]);
  t.end();
});

t.test('what cannot be kept is refused where it is written', (t) => {
  const cluster = new SimulatedReplicas({ seed: 10 });
  const [alpha] = cluster.assemble('alpha', 'bravo');
  t.throws(() => cluster.add(alpha!, 'id', 'session', -1), /expired/);
  t.throws(() => cluster.add(alpha!, 'id', 'x'.repeat(70_000)), /full/);
  t.end();
});
