import t from 'tap';
import { decodeData } from '../src/data.ts';
import { Keyring } from '../src/keyring.ts';
import { SegmentKind } from '../src/segment.ts';
import { type Member, OWN_PORT, SimulatedGroup } from './simulated-group.ts';

type Loses = (sequence: number, to: string) => boolean;

/** Alpha sends and dies; what it sent is lost on the way to some. */
class Burst {
  readonly group = new SimulatedGroup({ seed: 5 });
  readonly members: Member[];
  loses: Loses = () => false;
  readonly #keyring = new Keyring(this.group.clusterKey);

  constructor(names: readonly string[], transport: 'auto' | 'unicast' = 'auto') {
    const members = names.map((_, at) => ({ address: `198.18.0.${at + 1}`, port: OWN_PORT }));
    this.members = this.group.assembleWith({ transport, members }, ...names);
    this.group.simulator.run(500);
    this.group.simulator.network.script = ({ bytes, from, to }) => {
      if (bytes[1] !== SegmentKind.data || from !== 'alpha' || to === 'alpha') return false;
      const { now } = this.group.simulator;
      const segment = this.#keyring.open(bytes, { address: from, port: 0 }, now);
      const data = typeof segment === 'string' ? undefined : decodeData(segment.body);
      return data !== undefined && this.loses(data.sequence, to);
    };
  }

  get alpha(): Member {
    return this.members[0]!;
  }

  get survivors(): Member[] {
    return this.members.slice(1);
  }

  send(count: number): void {
    for (let at = 1; at <= count; at += 1) {
      this.group.send(this.alpha, `${at}`);
      this.group.simulator.run(0.1);
    }
  }

  die(): void {
    this.group.members.get('alpha')?.host.crash();
  }

  /** What each survivor has applied. */
  get applied(): string[] {
    return this.survivors.map(({ messages }) => messages.join(' '));
  }
}

const NAMES = ['alpha', 'bravo', 'charlie', 'delta'];

for (const transport of ['auto', 'unicast'] as const) {
  t.test(`who missed what a dead member sent gets it from the others: ${transport}`, (t) => {
    const burst = new Burst(NAMES, transport);
    burst.loses = (sequence, to) =>
      (to === 'bravo' && sequence === 2) ||
      (to === 'charlie' && sequence >= 5) ||
      (to === 'delta' && sequence % 2 === 1);
    burst.send(8);
    burst.group.simulator.run(0.5);
    burst.die();
    burst.group.simulator.run(1_000);
    t.same(burst.applied, Array(3).fill('1 2 3 4 5 6 7 8'));
    t.end();
  });
}

t.test('what nobody has in order is applied by nobody: all end at the same place', (t) => {
  const burst = new Burst(NAMES);
  burst.loses = (sequence, to) => sequence === 4 || (to !== 'bravo' && sequence === 3);
  burst.send(6);
  burst.group.simulator.run(0.5);
  burst.die();
  burst.group.simulator.run(3_000);
  t.same(burst.applied, Array(3).fill('1 2 3'));
  for (const { events } of burst.survivors) t.ok(events.some(({ kind }) => kind === 'missed'));
  t.end();
});

t.test('when who is asked dies too, the next one is', (t) => {
  const burst = new Burst(NAMES);
  burst.loses = (sequence, to) => to === 'delta' && sequence === 3;
  burst.send(3);
  burst.group.simulator.run(0.5);
  burst.die();
  const [bravo, charlie, delta] = burst.survivors;
  const asked = bravo!.group.incarnation < charlie!.group.incarnation ? 'bravo' : 'charlie';
  burst.group.simulator.run(1);
  burst.group.simulator.network.cut('delta', asked);
  burst.group.simulator.run(1_500);
  t.same(delta?.messages, ['1', '2', '3']);
  t.end();
});

t.test('one that is excluded and lives adds nothing: only what others have is taken', (t) => {
  const burst = new Burst(NAMES);
  burst.send(2);
  burst.group.simulator.run(50);
  for (const name of ['bravo', 'charlie', 'delta'])
    burst.group.simulator.network.cut(name, 'alpha');
  burst.group.until(() => burst.survivors.every(({ group }) => group.members.length === 2));
  burst.send(2);
  burst.group.simulator.run(500);
  t.same(burst.applied, Array(3).fill('1 2'));
  t.end();
});

t.test('nothing is left of it after two seconds', (t) => {
  const burst = new Burst(NAMES);
  burst.loses = (sequence, to) => to === 'bravo' && sequence === 2;
  burst.send(3);
  const { incarnation } = burst.alpha.group;
  burst.group.simulator.run(0.5);
  burst.die();
  burst.group.simulator.run(2_500);
  const entries = burst.survivors.flatMap(({ group }) =>
    group.members.flatMap(({ beat }) => beat?.entries ?? []),
  );
  t.notOk(entries.some((entry) => entry.incarnation === incarnation));
  t.same(burst.applied, Array(3).fill('1 2 3'));
  t.end();
});
