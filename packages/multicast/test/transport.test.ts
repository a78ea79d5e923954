import t from 'tap';
import { SegmentKind } from '../src/segment.ts';
import { type Member, OWN_PORT, SimulatedGroup } from './simulated-group.ts';

const NAMES = ['alpha', 'bravo', 'charlie'];
/** Where the hosts of the first three members are. */
const MEMBERS = NAMES.map((_, index) => ({ address: `198.18.0.${index + 1}`, port: OWN_PORT }));

/** Segments of a kind that were sent to others from now on, and how many different ones. */
function count(cluster: SimulatedGroup, ...kinds: number[]) {
  const counted = { packets: 0, sealed: new Set<string>(), loopBacks: 0 };
  let sending: Uint8Array | undefined;
  cluster.simulator.network.script = ({ bytes, from, to, channel }) => {
    if (!kinds.includes(bytes[1] ?? 0)) return false;
    if (from === to) {
      if (channel === 'own') counted.loopBacks += 1;
      return false;
    }
    if (bytes !== sending) counted.packets += 1;
    sending = bytes;
    counted.sealed.add(Buffer.from(bytes).toString('hex'));
    return false;
  };
  return counted;
}

/** Writes that much, one message a millisecond. */
function write(cluster: SimulatedGroup, member: Member, messages: number): void {
  for (let index = 0; index < messages; index += 1) {
    cluster.send(member, `message ${index}`);
    cluster.simulator.run(1);
  }
}

function cutMulticastOf(cluster: SimulatedGroup, names = NAMES): void {
  for (const from of names) {
    for (const to of names) if (from !== to) cluster.simulator.network.cutMulticast(from, to);
  }
}

t.test('in unicast mode a write to N members is 2N packets, and a copy for the sender', (t) => {
  const cluster = new SimulatedGroup({ seed: 1 });
  const options = { transport: 'unicast', members: MEMBERS } as const;
  const [alpha] = cluster.assembleWith(options, ...NAMES);
  cluster.simulator.run(1_000);
  const counted = count(cluster, SegmentKind.data, SegmentKind.acknowledgement);
  const ticket = cluster.send(alpha!, 'to each');
  cluster.until(() => alpha!.ended.get(ticket) === 'replicated');
  t.equal(counted.packets, 4);
  t.equal(counted.loopBacks, 1);
  t.equal(counted.sealed.size, 3, 'one transmission, and two acknowledgements');
  t.equal(alpha!.group.outbound.flow.selfReceipt.lost, 0);
  t.end();
});

t.test('where there is no multicast, members that know of each other go on by unicast', (t) => {
  const cluster = new SimulatedGroup({ seed: 2 });
  NAMES.forEach((name) => cluster.simulator.host(name));
  cutMulticastOf(cluster);
  const [alpha, bravo, charlie] = cluster.assembleWith({ members: MEMBERS }, ...NAMES);
  t.ok(cluster.simulator.now < 300, `in one view after ${cluster.simulator.now} ms`);
  cluster.simulator.run(100);
  write(cluster, alpha!, 500);
  cluster.simulator.run(100);
  for (const member of [bravo!, charlie!]) t.equal(member.messages.length, 500);
  t.equal(alpha!.group.outbound.repairs, 0, 'all were sent by unicast');
  t.equal(alpha!.group.outbound.flow.selfReceipt.lost, 0);
  t.same(cluster.ways(alpha!), [], 'it was never otherwise');
  t.end();
});

t.test('multicast stops on one way: by unicast within 2.5 s, and back after the healing', (t) => {
  const cluster = new SimulatedGroup({ seed: 3 });
  const [alpha, bravo, charlie] = cluster.assemble(...NAMES);
  cluster.simulator.run(5_000);
  cluster.simulator.network.cutMulticast('alpha', 'bravo');
  const cutAt = cluster.simulator.now;
  write(cluster, alpha!, 100);
  cluster.until(() => cluster.ways(bravo!).includes('alpha by unicast'), 2_500);
  t.same(cluster.ways(bravo!), ['rejoined', 'alpha by unicast']);
  cluster.simulator.run(300);
  t.ok(cluster.simulator.now - cutAt < 2_500);
  const { repairs } = alpha!.group.outbound;
  write(cluster, alpha!, 1_000);
  cluster.simulator.run(100);
  t.equal(alpha!.group.outbound.repairs, repairs, 'none is needed any more');
  cluster.simulator.network.heal();
  cluster.simulator.run(2_900);
  t.notOk(cluster.ways(bravo!).includes('alpha by multicast'), 'it must stay for a while');
  cluster.simulator.run(4_000);
  t.ok(cluster.ways(bravo!).includes('alpha by multicast'));
  const counted = count(cluster, SegmentKind.data);
  write(cluster, alpha!, 100);
  cluster.simulator.run(100);
  t.equal(counted.packets, 100);
  for (const member of [bravo!, charlie!]) t.equal(member.messages.length, 1_200);
  t.same(
    NAMES.flatMap((name) => cluster.gone(cluster.members.get(name)!)),
    [],
  );
  t.end();
});

t.test('a switch that forgot a member hears of it again when it joins anew', (t) => {
  const cluster = new SimulatedGroup({ seed: 4 });
  const [alpha, bravo] = cluster.assemble(...NAMES);
  cluster.simulator.run(5_000);
  cluster.simulator.network.forget('bravo');
  write(cluster, alpha!, 3_000);
  cluster.simulator.run(1_000);
  t.same(cluster.ways(bravo!), ['rejoined']);
  t.equal(bravo!.messages.length, 3_000);
  t.same(cluster.gone(alpha!), []);
  t.end();
});

t.test('multicast dies altogether: nobody is excluded, and nothing is lost', (t) => {
  const cluster = new SimulatedGroup({ seed: 5 });
  const members = cluster.assemble(...NAMES);
  cluster.simulator.run(5_000);
  cutMulticastOf(cluster);
  for (let round = 0; round < 9_000; round += 1) {
    cluster.send(members[round % 3]!, `${round}`);
    cluster.simulator.run(1);
  }
  cluster.simulator.run(2_000);
  for (const member of members) {
    t.same(cluster.gone(member), []);
    t.equal(new Set(member.messages).size, 6_000);
    t.equal(cluster.ways(member).filter((way) => way === 'rejoined').length, 1);
  }
  t.end();
});

t.test('who is told to use multicast only never sends to members by unicast first', (t) => {
  const cluster = new SimulatedGroup({ seed: 6 });
  const [alpha] = cluster.assembleWith({ transport: 'multicast' }, ...NAMES);
  const counted = { unicasts: 0 };
  cluster.simulator.network.script = ({ bytes, channel }) => {
    const first = bytes[1] === SegmentKind.data || bytes[1] === SegmentKind.heartbeat;
    if (first && channel === 'own') counted.unicasts += 1;
    return false;
  };
  write(cluster, alpha!, 2_000);
  t.equal(counted.unicasts, 0);
  t.end();
});

t.test('whose own multicasts do not come back gets a copy of them by unicast', (t) => {
  const cluster = new SimulatedGroup({ seed: 7 });
  const [alpha, bravo] = cluster.assemble(...NAMES);
  cluster.simulator.network.script = ({ from, to, channel }) => from === to && channel === 'group';
  cluster.simulator.run(2_000);
  t.ok(cluster.ways(alpha!).includes('rejoined'), 'perhaps it is the group that it is not in');
  const { lost } = alpha!.group.outbound.flow.selfReceipt;
  write(cluster, alpha!, 500);
  cluster.simulator.run(100);
  t.equal(alpha!.group.outbound.flow.selfReceipt.lost, lost);
  t.equal(bravo!.messages.length, 500);
  t.end();
});

t.test('one of two kinds: a member without multicast is served beside those that have it', (t) => {
  const cluster = new SimulatedGroup({ seed: 8 });
  const alpha = cluster.start('alpha', { members: MEMBERS });
  const bravo = cluster.start('bravo', { members: MEMBERS, transport: 'unicast' });
  const charlie = cluster.start('charlie', { members: MEMBERS });
  const all = [alpha, bravo, charlie];
  cluster.until(() => all.every(({ group }) => group.members.length === 2));
  cluster.simulator.run(1_000);
  const counted = count(cluster, SegmentKind.data);
  write(cluster, alpha, 100);
  cluster.simulator.run(100);
  t.equal(counted.packets, 200, 'a multicast and a unicast each');
  t.equal(counted.sealed.size, 100);
  write(cluster, bravo, 100);
  cluster.simulator.run(100);
  t.equal(counted.packets, 400, 'two unicasts each');
  for (const member of [bravo, charlie]) t.ok(member.messages.length >= 100);
  t.equal(alpha.messages.length, 100);
  t.end();
});
