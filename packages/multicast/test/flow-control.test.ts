import type { HostLimits } from '@argyle/simulator';
import { UNLIMITED } from '@argyle/simulator';
import t from 'tap';
import { FlowControl } from '../src/flow-control.ts';
import { type GateName, GATES } from '../src/gates/gate.ts';
import { type Member, SimulatedGroup } from './simulated-group.ts';

const RECORD = 'r'.repeat(1_200);

interface Run {
  readonly group: SimulatedGroup;
  readonly alpha: Member;
  readonly others: readonly Member[];
  /** Data segments that did not arrive, by receiver and why. */
  readonly lost: Map<string, number>;
}

/** Three members, the first governed by those gates; the limits hold from when all are there. */
function assemble(
  gates: readonly GateName[],
  limits: Readonly<Record<string, Partial<HostLimits>>>,
): Run {
  const group = new SimulatedGroup({ seed: 5 });
  const alpha = group.start('alpha', { gates });
  const others = [group.start('bravo'), group.start('charlie')];
  group.until(() => [alpha, ...others].every((one) => one.group.members.length === 2));
  group.simulator.run(500);
  for (const [name, limit] of Object.entries(limits)) {
    group.simulator.host(name).limits = { ...UNLIMITED, ...limit };
  }
  const lost = new Map<string, number>();
  group.simulator.network.lost = ({ bytes, from, to }, cause) => {
    if (bytes[1] !== 1 || from !== 'alpha') return;
    lost.set(`${to} ${cause}`, (lost.get(`${to} ${cause}`) ?? 0) + 1);
  };
  return { group, alpha, others, lost };
}

/** Alpha has more to send than can leave, for so long. */
function press({ group, alpha }: Run, durationMs: number): void {
  for (let ms = 0; ms < durationMs; ms += 1) {
    fill(group, alpha);
    group.simulator.run(1);
  }
}

/** Its queue has room for so many; who is alone queues nothing. */
function fill(group: SimulatedGroup, member: Member): void {
  const { outbound, members } = member.group;
  if (members.length === 0) throw new Error(`${member.host.name} is alone`);
  while (outbound.queueBytes < 64 * RECORD.length) group.send(member, RECORD);
}

function lostBy({ lost }: Run, receiver: string): number {
  let sum = 0;
  for (const [who, count] of lost) if (who.startsWith(receiver)) sum += count;
  return sum;
}

const without = (...names: GateName[]) => GATES.filter((name) => !names.includes(name));

/** 1 Mbit/s behind a queue of 30 segments. */
const CHOKED: Partial<HostLimits> = { egressBytesPerMs: 125, egressQueueBytes: 40_000 };
/** So many segments of RECORD pass in a second. */
const CHOKED_PER_S = 125_000 / 1_270;

for (const gate of ['self-receipt', 'others', 'requests', 'queue'] as const) {
  t.test(`a choked line: ${gate} alone sees nothing of it, and most is lost`, (t) => {
    const run = assemble([gate], { alpha: CHOKED });
    press(run, 100);
    const { sequence } = run.alpha.group.outbound;
    t.ok(lostBy(run, 'bravo') > 0.8 * sequence, `${lostBy(run, 'bravo')} of ${sequence}`);
    t.equal(run.alpha.group.outbound.flow.selfReceipt.lost, 0, 'every own copy came back');
    t.end();
  });
}

t.test('a choked line: all together fill it, and next to nothing is lost', (t) => {
  const run = assemble(GATES, { alpha: CHOKED });
  press(run, 20_000);
  const { sequence, acknowledged } = run.alpha.group.outbound;
  t.ok(acknowledged > 0.75 * 20 * CHOKED_PER_S, `${acknowledged} applied by all`);
  t.ok(lostBy(run, 'bravo') < 0.02 * sequence, `${lostBy(run, 'bravo')} of ${sequence} lost`);
  t.same(run.alpha.group.members.length, 2);
  t.end();
});

t.test('a cut cable: own copies all come back, and only the window and the echo stop', (t) => {
  for (const [gates, most] of [
    [['self-receipt', 'requests', 'queue'], Infinity],
    [['others'], 256],
    [['echo'], 144],
    [GATES, 32],
  ] as const) {
    const run = assemble(gates, {});
    run.group.simulator.network.cut('alpha', 'bravo');
    run.group.simulator.network.cut('alpha', 'charlie');
    press(run, 20);
    const { sequence, flow } = run.alpha.group.outbound;
    t.ok(most === Infinity ? sequence > 300 : sequence === most, `${sequence} with ${gates}`);
    t.equal(flow.selfReceipt.lost, 0);
  }
  t.end();
});

const SLOW: Partial<HostLimits> = { receiveMs: 1, receiveQueueBytes: 64_000 };

t.test('a slow peer: self-receipt alone loses what it cannot take', (t) => {
  const run = assemble(['self-receipt'], { bravo: SLOW });
  press(run, 100);
  const { sequence } = run.alpha.group.outbound;
  t.ok(lostBy(run, 'bravo') > 0.5 * sequence, `${lostBy(run, 'bravo')} of ${sequence}`);
  t.end();
});

t.test('a slow peer: all together go at its pace, and the other loses nothing', (t) => {
  const run = assemble(GATES, { bravo: SLOW });
  press(run, 10_000);
  const { sequence, acknowledged } = run.alpha.group.outbound;
  t.ok(acknowledged > 7_500, `${acknowledged} applied in 10 s`);
  t.ok(lostBy(run, 'bravo') < 0.02 * sequence, `${lostBy(run, 'bravo')} of ${sequence} lost`);
  t.equal(lostBy(run, 'charlie'), 0);
  t.ok(sequence - acknowledged <= 256);
  t.end();
});

/** Alpha's own input path: it takes 0.2 ms over a datagram, and its socket holds a dozen. */
const DEAF: Partial<HostLimits> = { receiveMs: 0.2, receiveQueueBytes: 15_000 };

t.test('a small socket of its own: the window alone goes on losing own copies', (t) => {
  const alone = assemble(without('self-receipt'), { alpha: DEAF });
  const all = assemble(GATES, { alpha: DEAF });
  for (const run of [alone, all]) press(run, 2_000);
  const share = (run: Run) => lostBy(run, 'alpha') / run.alpha.group.outbound.sequence;
  t.ok(share(alone) > 0.1, `${share(alone)} without self-receipt`);
  t.ok(share(all) < 0.02, `${share(all)} with all`);
  t.end();
});

t.test(
  'nobody acknowledges: the window sees nothing, requests for repairs slow the sender',
  (t) => {
    const sent = (gates: readonly GateName[]) => {
      const flow = new FlowControl(gates);
      let sequence = 0;
      for (let ms = 0; ms < 1_000; ms += 1) {
        if (ms % 50 === 0) flow.requests.asked('listener', 1, ms);
        for (let turn = 0; turn < 10 && flow.opensAt(0) <= ms; turn += 1) {
          sequence += 1;
          flow.left(sequence, 0, ms);
          flow.back(sequence, ms);
        }
      }
      return sequence;
    };
    t.equal(sent(['window']), 10_000);
    t.ok(sent(GATES) < 1_000, `${sent(GATES)}`);
    t.end();
  },
);

t.test('a peer that reads and does not apply: the echo sees nothing, the window does', (t) => {
  const flow = new FlowControl();
  let sequence = 0;
  for (let ms = 0; flow.opensAt(sequence) <= ms && sequence < 1_000; ms += 1) {
    const { due } = flow.echo;
    sequence += 1;
    flow.left(sequence, sequence - 1, ms);
    if (due) flow.echo.ask('bravo', ms);
    flow.back(sequence, ms);
    flow.echo.answered('bravo', sequence);
  }
  t.equal(sequence, 32);
  t.equal(flow.binding(sequence, 40), 'window');
  t.equal(new FlowControl(['echo']).binding(sequence, 40), undefined);
  t.end();
});

t.test('three that press at once over one choked port have a quarter of it each, and more', (t) => {
  const group = new SimulatedGroup({ seed: 6 });
  const members = group.assemble('alpha', 'bravo', 'charlie');
  group.simulator.run(500);
  for (const { host } of members) {
    host.limits = { ...UNLIMITED, ingressBytesPerMs: 1_250, ingressQueueBytes: 64_000 };
  }
  for (let ms = 0; ms < 10_000; ms += 1) {
    for (const member of members) fill(group, member);
    group.simulator.run(1);
  }
  const applied = members.map((member) => member.group.outbound.acknowledged);
  const all = applied.reduce((sum, count) => sum + count, 0);
  for (const count of applied) t.ok(count > all / 4, `${applied}`);
  t.end();
});

t.test('one turn sends no more than can come back before it reads', (t) => {
  const { group, alpha } = assemble(GATES, {});
  let sent = 0;
  group.simulator.network.tap = (bytes) => void (sent += bytes[1] === 1 ? 1 : 0);
  for (let message = 0; message < 1_000; message += 1) group.send(alpha, RECORD);
  group.simulator.run(0);
  t.equal(sent, 16);
  t.end();
});

t.test('a process that did not run reads before it counts anything as lost', (t) => {
  const flow = new FlowControl();
  flow.left(1, 0, 0);
  flow.left(2, 1, 0);
  flow.expire(600);
  t.equal(flow.selfReceipt.lost, 0);
  t.equal(flow.expiresAt, 601);
  flow.back(1, 600);
  flow.expire(601);
  t.equal(flow.selfReceipt.lost, 1);
  flow.left(3, 1, 610);
  flow.expire(661);
  t.equal(flow.selfReceipt.lost, 2, 'a timer in time');
  t.end();
});

t.test('the gate that opens last is the binding one, for as long as something waits', (t) => {
  const flow = new FlowControl();
  flow.observe(true, 0, 0);
  flow.left(1, 31, 0);
  flow.observe(true, 32, 10);
  flow.observe(true, 31, 25);
  for (let sequence = 2; sequence <= 17; sequence += 1) flow.left(sequence, 0, 25);
  flow.observe(true, 16, 25);
  flow.observe(false, 16, 32);
  flow.observe(true, 16, 40);
  flow.queue.handleBacklog(1, 40);
  flow.observe(true, 16, 40);
  flow.observe(true, 16, 40.5);
  t.same(Object.fromEntries(flow.boundMs), {
    ...{ 'self-receipt': 7, others: 0, window: 15, requests: 0, queue: 0.5, echo: 0 },
  });
  t.end();
});

t.test('a member says how long each gate held its segments back', (t) => {
  const run = assemble(GATES, { bravo: SLOW });
  press(run, 1_000);
  const { boundMs } = run.alpha.group.outbound.flow;
  t.ok((boundMs.get('window') ?? 0) > 700, JSON.stringify([...boundMs]));
  t.end();
});
