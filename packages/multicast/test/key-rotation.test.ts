import t from 'tap';
import { type ClusterKeys, keyId, soleKey } from '../src/cluster-keys.ts';
import { type Member, OWN_PORT, SimulatedGroup } from './simulated-group.ts';

const OLD = Uint8Array.from({ length: 32 }, (_, index) => index);
const NEW = new Uint8Array(32).fill(77);
const SECOND = 1_000;

function ring(...keys: readonly Uint8Array[]): ClusterKeys {
  return { ...soleKey(OLD), keys };
}

const STEPS = [ring(OLD, NEW), ring(NEW, OLD), ring(NEW)];

/** What the layer above does when the ring's file has changed. */
function take({ driver, group }: Member, keys: ClusterKeys): boolean {
  return driver.run((now) => {
    group.beatSoon(now);
    return group.keyring.take(keys);
  });
}

function dropped({ group }: Member, reason: 'key' | 'replayed'): number {
  return group.counters.dropped.get(reason) ?? 0;
}

t.test('keys are replaced under load: not a message is lost, and nobody leaves the view', (t) => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const loss = seed % 2 === 0 ? 0.05 : 0;
    const cluster = new SimulatedGroup({ seed, faults: { loss } });
    const members = cluster.assembleWith({ clusterKey: OLD }, 'alpha', 'bravo', 'charlie');
    const [alpha] = members;
    const sent: string[] = [];
    const tickets: number[] = [];
    const write = () => {
      sent.push(`message ${sent.length}`);
      tickets.push(cluster.send(alpha!, sent.at(-1)!));
    };
    for (const keys of STEPS) {
      // Each takes the step at its own time, the sender first, last, or between the others.
      const turns = [0, 1, 2].map((turn) => members[(turn + seed) % 3]!);
      for (const member of turns) {
        for (let count = 0; count < 40; count += 1) {
          write();
          cluster.simulator.run(2);
        }
        t.ok(take(member, keys));
      }
    }
    cluster.until(() => alpha!.ended.size === tickets.length);
    t.same([...new Set(alpha!.ended.values())], ['replicated'], `seed ${seed}`);
    for (const member of members.slice(1)) t.same(member.messages, sent, `seed ${seed}`);
    cluster.simulator.run(SECOND);
    for (const member of members) {
      t.same(member.group.members.map(({ beat }) => beat?.keys).flat(), Array(2).fill(keyId(NEW)));
      t.same(cluster.gone(member), [], 'nobody was excluded');
      t.same(
        member.events.filter(({ kind }) => kind === 'restarted'),
        [],
        'nor drew a new incarnation',
      );
    }
  }
  t.end();
});

t.test('members of two neighbouring steps form a group, and links open between them', (t) => {
  for (const [step, behind] of [ring(OLD), ...STEPS.slice(0, 2)].entries()) {
    const cluster = new SimulatedGroup({ seed: 20 + step });
    const alpha = cluster.start('alpha', { clusterKey: behind });
    const bravo = cluster.start('bravo', { clusterKey: STEPS[step]! });
    cluster.until(() => [alpha, bravo].every(({ group }) => group.links.size === 1));
    const ticket = cluster.send(alpha, 'across');
    cluster.until(() => alpha.ended.has(ticket));
    t.same(bravo.messages, ['across']);
    t.same(alpha.group.members[0]?.beat?.keys, bravo.group.keyring.ids, 'which key seals there');
  }
  t.end();
});

t.test('who has none but the removed key is refused, counted, told of, and excluded', (t) => {
  const cluster = new SimulatedGroup({ seed: 31 });
  const [alpha, bravo, late] = cluster.assembleWith({ clusterKey: OLD }, 'alpha', 'bravo', 'late');
  for (const keys of STEPS) for (const member of [alpha!, bravo!]) take(member, keys);
  cluster.until(() => alpha!.group.members.length === 1 && late!.group.members.length === 0);
  t.same(cluster.gone(alpha!), ['late silent']);
  t.ok(dropped(alpha!, 'key') > 0 && dropped(late!, 'key') > 0);
  for (const member of [alpha!, late!]) {
    t.ok(member.events.some((event) => event.kind === 'dropped' && event.reason === 'key'));
  }
  // It takes the ring as it is now, and is a member again.
  take(late!, ring(NEW));
  cluster.until(() => alpha!.group.members.length === 2 && late!.group.members.length === 2);
  t.end();
});

t.test('recordings from before a change open under no key of the ring, or are replays', (t) => {
  const cluster = new SimulatedGroup({ seed: 41 });
  const members = cluster.assembleWith({ clusterKey: OLD }, 'alpha', 'bravo');
  const [alpha, bravo] = members;
  const recorded: Uint8Array[] = [];
  cluster.simulator.network.script = ({ bytes, from }) => {
    if (from === 'alpha') recorded.push(Uint8Array.from(bytes));
    return false;
  };
  const ticket = cluster.send(alpha!, 'once');
  cluster.until(() => alpha!.ended.has(ticket));
  cluster.simulator.network.script = undefined;
  cluster.simulator.run(5);
  const replay = () => {
    const from = { address: alpha!.host.address, port: OWN_PORT };
    for (const bytes of recorded) {
      bravo!.driver.run((now) => bravo!.group.handleDatagram(bytes, from, 'group', now));
    }
  };
  for (const member of members) take(member, STEPS[0]!);
  for (const member of members) take(member, STEPS[1]!);
  const before = dropped(bravo!, 'replayed');
  replay();
  t.equal(dropped(bravo!, 'replayed') - before, recorded.length, 'the old key still opens them');
  for (const member of members) take(member, STEPS[2]!);
  replay();
  t.equal(dropped(bravo!, 'key'), recorded.length, 'nothing opens them any more');
  t.same(bravo!.messages, ['once']);
  t.end();
});
