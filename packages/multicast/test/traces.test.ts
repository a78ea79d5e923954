import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { decodeData } from '../src/data.ts';
import type { OpenedSegment } from '../src/keyring.ts';
import { SegmentKind } from '../src/segment.ts';
import { type Member, OWN_PORT, SimulatedGroup } from './simulated-group.ts';
import { Trace } from './trace.ts';

/**
 * Scenarios as text, beside this file: they are read as a tutorial, and compared as a test.
 * `ARGYLE_REWRITE_TRACES=1 node packages/multicast/test/traces.test.ts` writes them anew: read the
 * difference before it is committed.
 */
const REWRITE = process.env['ARGYLE_REWRITE_TRACES'] === '1';

const isData = (segment: OpenedSegment, sequence: number) =>
  segment.kind === SegmentKind.data && decodeData(segment.body)?.sequence === sequence;

/** Loses the first transmission of a sequence for those. */
function firstOf(sequence: number, ...members: string[]) {
  const left = new Set(members);
  return (segment: OpenedSegment, to: string) => isData(segment, sequence) && left.delete(to);
}

const SCENARIOS: Record<string, () => Trace> = {
  join() {
    const group = new SimulatedGroup({ seed: 1 });
    group.start('alpha');
    group.simulator.run(400);
    const trace = new Trace(group, {
      about: ['Alpha is alone. Bravo starts, hears its heartbeat, and both are members.'],
      heartbeats: true,
    });
    group.start('bravo');
    trace.says('bravo starts');
    trace.run(300);
    return trace;
  },

  repair() {
    const { group, trace, alpha } = threeMembers(
      'Alpha sends three segments; charlie loses the second. It says so when the gap is 2 ms',
      'old, and alpha sends the segment again, to charlie alone. Heartbeats are left out.',
    );
    trace.loses = firstOf(2, 'charlie');
    for (const text of ['one', 'two', 'three']) {
      group.send(alpha, text);
      trace.run(1);
    }
    trace.run(20);
    return trace;
  },

  'repair for two'() {
    const { group, trace, alpha } = threeMembers(
      'Bravo and charlie both lose the first segment: alpha gathers what they lack for 2 ms, and',
      'sends it again to all. Heartbeats are left out.',
    );
    trace.loses = firstOf(1, 'bravo', 'charlie');
    for (const text of ['one', 'two']) {
      group.send(alpha, text);
      trace.run(1);
    }
    trace.run(20);
    return trace;
  },

  'last segment'() {
    const { group, trace, alpha } = threeMembers(
      'Bravo loses the last segment and knows nothing of it. Alpha misses the acknowledgement, and',
      'after four round-trip times, 25 ms at least, sends it again. Heartbeats are left out.',
    );
    trace.loses = firstOf(1, 'bravo');
    group.send(alpha, 'last');
    trace.run(60);
    return trace;
  },

  'lost acknowledgement'() {
    const { group, trace, alpha } = threeMembers(
      'The acknowledgement of bravo is lost. Alpha sends the segment again, bravo has it already and',
      'answers at once. Heartbeats are left out.',
    );
    let lost = false;
    trace.loses = ({ kind }) => {
      const first = kind === SegmentKind.acknowledgement && !lost;
      lost ||= first;
      return first;
    };
    group.send(alpha, 'one');
    trace.run(60);
    return trace;
  },

  suppression() {
    const group = new SimulatedGroup({ seed: 1 });
    const alpha = group.start('alpha');
    const names = ['bravo', 'charlie', 'delta', 'echo'];
    for (const name of names) group.start(name, { acknowledges: name === 'bravo' });
    group.until(() => [...group.members.values()].every((one) => one.group.members.length === 4));
    group.simulator.run(400);
    const trace = new Trace(group, {
      about: [
        'Bravo acknowledges; charlie, delta and echo listen, and all three lose the second segment.',
        'Each waits for a time of its own. One asks first; the others hear it, and alpha sends the',
        'segment again to all. Heartbeats are left out.',
      ],
      heartbeats: false,
    });
    trace.loses = firstOf(2, 'charlie', 'delta', 'echo');
    for (const text of ['one', 'two', 'three']) {
      group.send(alpha, text);
      trace.run(1);
    }
    trace.run(60);
    return trace;
  },

  snooping() {
    const { group, trace, alpha } = threeMembers(
      'A switch forgets that bravo is in the group, and joining anew does not help. Bravo says that it',
      'hears by unicast alone; alpha and charlie send to it so. Heartbeats are left out.',
    );
    group.simulator.network.cutMulticast('alpha', 'bravo');
    group.simulator.network.cutMulticast('charlie', 'bravo');
    trace.says('no multicast reaches bravo any more');
    for (const text of ['lost at first', 'under way', 'by unicast']) {
      group.send(alpha, text);
      trace.run(1_100);
    }
    group.simulator.network.heal();
    trace.says('the switch has learnt of bravo');
    trace.run(4_000);
    group.send(alpha, 'by multicast');
    trace.run(20);
    return trace;
  },

  'fan-out'() {
    const group = new SimulatedGroup({ seed: 1 });
    const names = ['alpha', 'bravo', 'charlie'];
    const members = names.map((_, index) => ({ address: `198.18.0.${index + 1}`, port: OWN_PORT }));
    const [alpha] = group.assembleWith({ transport: 'unicast', members }, ...names);
    group.simulator.run(400);
    const trace = new Trace(group, {
      about: [
        'Without multicast: alpha sends one segment to each, and to itself, which is how it paces',
        'itself. Two packets a member: one out, one acknowledgement. Heartbeats are left out.',
      ],
      heartbeats: false,
    });
    group.send(alpha!, 'to each');
    trace.run(20);
    return trace;
  },

  'take-over of repairs'() {
    const { group, trace, alpha } = membersOf(
      ['alpha', 'bravo', 'charlie', 'delta'],
      'Alpha dies in the middle of a burst. Charlie has lost its second segment and delta its last;',
      'bravo has all. Each says in its heartbeat how far it has got, and asks bravo, who sends what it',
      'has on as alpha sealed it, byte for byte. Heartbeats are left out.',
    );
    const [second, last] = [firstOf(2, 'charlie'), firstOf(3, 'delta')];
    trace.loses = (segment, to) => second(segment, to) || last(segment, to);
    for (const text of ['one', 'two', 'three']) {
      group.send(alpha, text);
      trace.run(0.4);
    }
    group.members.get('alpha')?.host.crash();
    trace.says('alpha dies');
    trace.run(600);
    return trace;
  },

  death() {
    const { group, trace, alpha } = threeMembers(
      'Alpha writes, and charlie is dead: its link port refuses, alpha excludes it, and the write,',
      'which bravo has applied, ends. Heartbeats are left out.',
    );
    group.members.get('charlie')?.host.crash();
    trace.says('charlie dies');
    group.send(alpha, 'one');
    trace.run(20);
    return trace;
  },
};

interface Scene {
  readonly group: SimulatedGroup;
  readonly trace: Trace;
  readonly alpha: Member;
}

function threeMembers(...about: readonly string[]): Scene {
  return membersOf(['alpha', 'bravo', 'charlie'], ...about);
}

function membersOf(names: readonly string[], ...about: readonly string[]): Scene {
  const group = new SimulatedGroup({ seed: 1 });
  const [alpha] = group.assemble(...names);
  group.simulator.run(400);
  return { group, trace: new Trace(group, { about, heartbeats: false }), alpha: alpha! };
}

for (const [title, scenario] of Object.entries(SCENARIOS)) {
  t.test(`the trace of a scenario is as it was: ${title}`, (t) => {
    const file = new URL(`./${title.replaceAll(' ', '-')}.trace`, import.meta.url);
    const text = scenario().text();
    if (REWRITE) writeFileSync(file, text);
    t.equal(text, readFileSync(file, 'utf8'));
    t.end();
  });
}
