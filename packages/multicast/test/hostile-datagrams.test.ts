import t from 'tap';
import { Keyring } from '../src/keyring.ts';
import { CANDIDATES_MAX } from '../src/options.ts';
import { HEADER_BYTES, SegmentKind } from '../src/segment.ts';
import { type Member, OWN_PORT, SimulatedGroup } from './simulated-group.ts';

const STRANGER = { address: '198.18.0.99', port: 4_000 };
const FLOOD_PER_MS = 5;
const BEATS_RECORDED = 6;

function receive(members: readonly Member[], bytes: Uint8Array, from = STRANGER): void {
  for (const { driver, group } of members) {
    driver.run((now) => group.handleDatagram(bytes, from, 'group', now));
  }
}

const headers = new WeakMap<SimulatedGroup, Keyring>();

/** Right version, cluster and key; an incarnation that nobody has drawn. */
function madeUp(cluster: SimulatedGroup): Uint8Array {
  const { random } = cluster.simulator;
  const keyring = headers.get(cluster) ?? new Keyring(cluster.clusterKey);
  headers.set(cluster, keyring);
  keyring.adopt(random.bytes(16));
  return keyring.seal(SegmentKind.data, random.bytes(60)).fill(0, HEADER_BYTES);
}

/** Runs until it holds, with 5 000 made-up incarnations a second at all members. */
function flood(cluster: SimulatedGroup, addresses: number, until: () => boolean): number {
  const from = cluster.simulator.now;
  while (!until() && cluster.simulator.now - from < 20_000) {
    for (let index = 0; index < FLOOD_PER_MS; index += 1) {
      const address = `198.18.1.${cluster.simulator.random.below(addresses)}`;
      receive([...cluster.members.values()], madeUp(cluster), { address, port: 4_000 });
    }
    cluster.simulator.run(1);
  }
  return cluster.simulator.now - from;
}

/** Meanwhile charlie and the others hear only strangers. */
function cut(cluster: SimulatedGroup, meanwhile: () => void): void {
  const { network } = cluster.simulator;
  network.partition([['alpha', 'bravo'], ['charlie']], ['alpha', 'bravo', 'charlie']);
  meanwhile();
  network.heal();
}

function count(member: Member, reason: 'replayed' | 'derivations' | 'candidates'): number {
  return member.group.counters.dropped.get(reason) ?? 0;
}

t.test('a stream that is sent again is counted, and not answered', (t) => {
  const cluster = new SimulatedGroup({ seed: 31 });
  const recording: Uint8Array[] = [];
  cluster.simulator.network.tap = (bytes) => recording.push(bytes.slice());
  const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
  for (let index = 0; index < 20; index += 1) {
    cluster.send(alpha!, `${index}`);
    cluster.simulator.run(10);
  }
  cluster.simulator.network.tap = undefined;
  const answers = bravo!.group.counters.sent.acknowledgement;
  for (let round = 0; round < 50; round += 1) {
    for (const bytes of recording) receive([alpha!, bravo!], bytes);
    cluster.simulator.run(1);
  }
  t.equal(bravo!.group.counters.sent.acknowledgement, answers);
  // The first time some are merely overtaken.
  const replays = 49 * recording.length;
  t.ok(count(bravo!, 'replayed') >= replays, 'those of both, at each');
  t.ok(count(alpha!, 'replayed') >= replays, 'its own among them');
  t.equal(bravo!.messages.length, 20);
  t.end();
});

t.test(
  'a flood of made-up incarnations keeps nobody from joining who comes from elsewhere',
  (t) => {
    const cluster = new SimulatedGroup({ seed: 32 });
    const [alpha, bravo] = cluster.assemble('alpha', 'bravo');
    flood(cluster, 1, () => count(alpha!, 'derivations') > 1_000);
    const charlie = cluster.start('charlie');
    cut(cluster, () => flood(cluster, 1, () => count(charlie, 'derivations') > 1_000));
    const tookMs = flood(cluster, 1, () =>
      [alpha!, bravo!, charlie].every((one) => cluster.view(one).length === 2),
    );
    t.ok(tookMs < 500, `in ${tookMs} ms`);
    t.end();
  },
);

t.test('nor one who is expected, from however many addresses the flood comes', (t) => {
  const cluster = new SimulatedGroup({ seed: 33 });
  const address = cluster.simulator.host('charlie').address;
  const members = [{ address, port: OWN_PORT }];
  const alpha = cluster.start('alpha', { members });
  const bravo = cluster.start('bravo', { members });
  const others = [alpha, bravo].map(({ host }) => ({ address: host.address, port: OWN_PORT }));
  flood(cluster, 250, () => count(alpha, 'derivations') > 1_000);
  const charlie = cluster.start('charlie', { members: others });
  cut(cluster, () => flood(cluster, 250, () => count(charlie, 'derivations') > 1_000));
  const joined = () => [alpha, bravo, charlie].every((one) => one.group.members.length === 2);
  const tookMs = flood(cluster, 250, joined);
  t.ok(tookMs < 500, `in ${tookMs} ms`);
  charlie.host.crash();
  flood(cluster, 250, () => alpha.group.members.length === 1 && bravo.group.members.length === 1);
  const again = cluster.start('charlie', { members: others });
  const againMs = flood(cluster, 250, () => again.group.members.length === 2);
  t.ok(againMs < 500, `again in ${againMs} ms`);
  t.end();
});

t.test('recordings of more dead members than are listed push no live one out', (t) => {
  const cluster = new SimulatedGroup({ seed: 34 });
  const recording: Uint8Array[] = [];
  cluster.simulator.network.tap = (bytes) => recording.push(bytes.slice());
  const dead = cluster.start('dead');
  for (let index = 0; index < 2 * CANDIDATES_MAX; index += 1) {
    const own = { address: dead.host.address, port: OWN_PORT };
    dead.driver.run((now) => dead.group.open(own, now));
    cluster.simulator.run(1);
    for (let beat = 1; beat < BEATS_RECORDED; beat += 1) {
      dead.driver.run((now) => dead.group.beatSoon(now));
      cluster.simulator.run(15);
    }
  }
  dead.host.crash();
  cluster.simulator.network.tap = undefined;
  t.equal(recording.length, 2 * CANDIDATES_MAX * BEATS_RECORDED);

  const address = cluster.simulator.host('charlie').address;
  const members = [{ address, port: OWN_PORT }];
  const alpha = cluster.start('alpha', { members });
  const bravo = cluster.start('bravo', { members });
  cluster.until(() => alpha.group.members.length === 1 && bravo.group.members.length === 1);
  const live = () => [...cluster.members.values()].slice(1);
  let round = 0;
  const replay = (durationMs: number, until = () => false) => {
    const from = cluster.simulator.now;
    while (!until() && cluster.simulator.now - from < durationMs) {
      recording.forEach((bytes, index) => {
        if (index % BEATS_RECORDED === round % BEATS_RECORDED) receive(live(), bytes);
      });
      round += 1;
      cluster.simulator.run(500);
    }
    return cluster.simulator.now - from;
  };
  replay(10_000);
  t.same([...cluster.gone(alpha), ...cluster.gone(bravo)], []);
  t.ok(count(alpha, 'candidates') > 0);
  const charlie = cluster.start('charlie', {
    members: [alpha, bravo].map(({ host }) => ({ address: host.address, port: OWN_PORT })),
  });
  const joined = () => [alpha, bravo, charlie].every((one) => one.group.members.length === 2);
  const tookMs = replay(20_000, joined);
  t.ok(tookMs <= 1_000, `a joiner who is expected is admitted in ${tookMs} ms`);
  t.end();
});

t.test('what an excluded member said once does not move us when it is sent again', (t) => {
  const cluster = new SimulatedGroup({ seed: 35 });
  const recording: Uint8Array[] = [];
  const [alpha, bravo, charlie] = cluster.assemble('alpha', 'bravo', 'charlie');
  const old = charlie!.group.incarnation;
  cluster.simulator.network.partition(
    [['alpha', 'bravo'], ['charlie']],
    ['alpha', 'bravo', 'charlie'],
  );
  cluster.until(() => cluster.view(alpha!).length === 1 && cluster.view(charlie!).length === 0);
  cluster.simulator.network.tap = (bytes) => recording.push(bytes.slice());
  cluster.simulator.network.heal();
  cluster.until(() => cluster.view(charlie!).length === 2);
  cluster.simulator.network.tap = undefined;
  bravo!.host.crash();
  charlie!.host.crash();
  cluster.until(() => cluster.view(alpha!).length === 0);
  const mine = alpha!.group.incarnation;
  const said = recording.filter(
    (bytes) => Buffer.from(bytes.subarray(16, 32)).toString('hex') === old,
  );
  t.ok(said.length > 0, 'charlie said that it had excluded alpha');
  for (const bytes of said) {
    receive([alpha!], bytes);
    cluster.simulator.run(100);
  }
  t.equal(alpha!.group.incarnation, mine);
  t.same(cluster.view(alpha!), []);
  t.end();
});
