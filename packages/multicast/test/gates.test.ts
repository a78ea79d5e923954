import t from 'tap';
import { AppliedWindow } from '../src/gates/applied-window.ts';
import { Echo } from '../src/gates/echo.ts';
import { OPEN } from '../src/gates/gate.ts';
import { OthersBetween } from '../src/gates/others-between.ts';
import { RepairRequests } from '../src/gates/repair-requests.ts';
import { SelfReceipt } from '../src/gates/self-receipt.ts';
import { SendQueue } from '../src/gates/send-queue.ts';

const ALPHA = 'a'.repeat(32);
const BRAVO = 'b'.repeat(32);

t.test('self-receipt: the next segment waits for the one before it, as FIG. 10B has it', (t) => {
  const gate = new SelfReceipt(1);
  t.equal(gate.opensAt(), OPEN);
  gate.left(1, 0);
  t.equal(gate.opensAt(), 50);
  gate.back(1);
  t.equal(gate.opensAt(), OPEN);
  t.end();
});

t.test('self-receipt: as many may be out as count as lost one after the other', (t) => {
  const gate = new SelfReceipt(2);
  for (const [sequence, leftAt] of [
    [1, 0],
    [2, 10],
    [3, 60],
  ] as const) {
    gate.left(sequence, leftAt);
  }
  t.equal(gate.opensAt(), 60, 'two of the three have to count as lost');
  gate.back(3);
  t.equal(gate.opensAt(), 50);
  t.end();
});

t.test('self-receipt: losses halve what may be out, clean rounds widen it by one', (t) => {
  const gate = new SelfReceipt();
  const { allowed } = gate;
  for (let sequence = 1; sequence <= allowed; sequence += 1) gate.left(sequence, 0);
  gate.expire(49);
  t.equal(gate.lost, 0);
  gate.expire(50);
  t.equal(gate.lost, allowed);
  t.equal(gate.allowed, allowed / 2, 'once for all that were lost together');
  let sequence = allowed;
  for (let back = 0; back < 8 + 9; back += 1) {
    sequence += 1;
    gate.left(sequence, 60);
    gate.back(sequence);
  }
  t.equal(gate.allowed, 10);
  for (let round = 1; round <= 9; round += 1) {
    gate.left(1_000 + round, 100 * round);
    gate.expire(100 * round + 50);
  }
  t.equal(gate.allowed, 4, 'it never shuts for good');
  t.end();
});

t.test('self-receipt: a copy that comes late, or twice, counts for nothing', (t) => {
  const gate = new SelfReceipt(1);
  gate.left(1, 0);
  gate.expire(50);
  gate.left(2, 51);
  gate.back(1);
  t.equal(gate.opensAt(), 101);
  t.end();
});

/** `others` segments of each of those between every two own ones. */
function share(gate: OthersBetween, senders: readonly string[], others: number, now = 0): number {
  let owed = 0;
  for (let own = 0; own < 200; own += 1) {
    owed += others;
    for (; owed >= 1; owed -= 1) for (const sender of senders) gate.heard(sender, now);
    gate.back(now);
  }
  return gate.share;
}

t.test('others: a sender that is alone has the medium, one of three a third of it', (t) => {
  t.equal(share(new OthersBetween(), [], 0), 256);
  const gate = new OthersBetween();
  t.equal(share(gate, [ALPHA, BRAVO], 1), 85);
  t.equal(Math.round(gate.between), 2);
  t.end();
});

t.test(
  'others: who sends less than the others keeps his full share, who sends more has more',
  (t) => {
    t.equal(share(new OthersBetween(), [ALPHA, BRAVO], 20), 85);
    const most = share(new OthersBetween(), [ALPHA, BRAVO], 0.25);
    t.ok(most > 128 && most < 200, `${most}`);
    t.end();
  },
);

t.test('others: of three that send as their shares allow, all come to the same', (t) => {
  const rates = [200, 30, 10];
  for (let round = 0; round < 100; round += 1) {
    const all = rates.reduce((sum, rate) => sum + rate, 0);
    rates.forEach((rate, index) => {
      rates[index] = share(new OthersBetween(), [ALPHA, BRAVO], (all - rate) / rate / 2);
    });
  }
  for (const rate of rates) t.ok(Math.abs(rate - 85) < 6, `${rates}`);
  t.end();
});

t.test('others: the share is given back by those who fall silent', (t) => {
  const gate = new OthersBetween();
  share(gate, [ALPHA, BRAVO], 4, 0);
  t.equal(gate.share, 85);
  gate.back(201);
  t.equal(gate.share, 256);
  t.equal(gate.opensAt(255), OPEN);
  t.equal(gate.opensAt(256), Infinity);
  t.end();
});

t.test('window: what the slowest has not applied bounds what leaves', (t) => {
  const gate = new AppliedWindow();
  t.equal(gate.opensAt(31), OPEN);
  t.equal(gate.opensAt(32), Infinity);
  t.end();
});

/** A round: as many segments as fit leave, and all are applied. */
function round(gate: AppliedWindow, inFlight: number): void {
  for (let { size } = gate; size > 0; size -= 1) {
    gate.left(inFlight);
    gate.advanced();
  }
}

t.test('window: one wider after a clean round that used it, 0.7 of it after a repair', (t) => {
  const gate = new AppliedWindow();
  round(gate, 31);
  t.equal(gate.size, 33);
  round(gate, 0);
  t.equal(gate.size, 33, 'it was not used');
  gate.repaired(100, 10);
  gate.repaired(105, 10);
  t.equal(gate.size, 23, 'once a round');
  for (let advanced = 0; advanced < 22; advanced += 1) {
    gate.left(22);
    gate.advanced();
  }
  gate.repaired(106, 10);
  gate.advanced();
  t.equal(gate.size, 23, 'a round with a repair is not clean');
  t.end();
});

t.test('window: it stays within its bounds', (t) => {
  const gate = new AppliedWindow();
  for (let repair = 0; repair < 20; repair += 1) gate.repaired(repair * 100, 10);
  t.equal(gate.size, 4);
  for (let clean = 0; clean < 300; clean += 1) round(gate, gate.size);
  t.equal(gate.size, 256);
  t.end();
});

/** Sends all that it may from then on, looking every 0.1 ms; the answer counts. */
function sendAll(gate: RepairRequests, from: number, to: number): number {
  let sent = 0;
  for (let step = 0; step < (to - from) * 10; step += 1) {
    const now = from + step / 10;
    if (gate.opensAt() > now) continue;
    gate.left(now);
    sent += 1;
  }
  return sent;
}

t.test('requests: without any there is no pace; one slows to 0.7 of what was sent', (t) => {
  const gate = new RepairRequests();
  t.equal(sendAll(gate, 0, 200), 2_000);
  t.equal(gate.asked(ALPHA, 1, 200), 1);
  const slowed = sendAll(gate, 200, 300);
  t.ok(slowed > 690 && slowed < 730, `${slowed} of 1 000`);
  t.end();
});

t.test('requests: those of one loss slow once, later ones again', (t) => {
  const gate = new RepairRequests();
  sendAll(gate, 0, 200);
  for (let asked = 0; asked < 10; asked += 1) gate.asked(ALPHA, 1, 200 + asked);
  const once = gate.paceMs;
  gate.asked(BRAVO, 1, 225);
  t.ok(Math.abs(gate.paceMs - once / 0.7) < 1e-9);
  t.end();
});

t.test(
  'requests: the pace rises while nobody asks, and is lifted when nothing keeps to it',
  (t) => {
    const gate = new RepairRequests();
    sendAll(gate, 0, 200);
    gate.asked(ALPHA, 1, 200);
    const { paceMs } = gate;
    sendAll(gate, 200, 301);
    t.ok(Math.abs(gate.paceMs - 0.9 * paceMs) < 1e-9);
    for (let now = 310; now < 2_000; now += 10) gate.left(now);
    t.equal(gate.paceMs, 0);
    t.equal(gate.opensAt(), OPEN);
    t.end();
  },
);

t.test('requests: who asks for more than an eighth of what is sent stops nobody', (t) => {
  const gate = new RepairRequests();
  sendAll(gate, 0, 100);
  t.equal(gate.asked(ALPHA, 1_000, 100), 64, 'what it had saved');
  const { paceMs } = gate;
  t.equal(gate.asked(ALPHA, 1_000, 200), 0);
  t.equal(gate.paceMs, paceMs);
  t.equal(gate.asked(BRAVO, 10, 200), 10, 'another has a budget of its own');
  for (let sent = 0; sent < 80; sent += 1) gate.left(300 + sent);
  t.equal(gate.asked(ALPHA, 1_000, 400), 10);
  t.end();
});

t.test('requests: even a member that never stops asking leaves a pace', (t) => {
  const gate = new RepairRequests();
  for (let now = 0; now < 10_000; now += 25) {
    gate.left(now);
    gate.asked(ALPHA, 1, now);
    gate.gone(ALPHA);
  }
  t.equal(gate.paceMs, 10);
  t.end();
});

t.test('queue: closed while the system has not taken all, and then looked at again', (t) => {
  const gate = new SendQueue();
  t.equal(gate.opensAt(), OPEN);
  gate.handleBacklog(1, 7);
  t.equal(gate.opensAt(), 8);
  gate.handleBacklog(0, 8);
  t.equal(gate.opensAt(), OPEN);
  t.end();
});

/** Segments leave, and each that is due asks; the answer is the last. */
function leave(gate: Echo, from: number, to: number, of: string, now: number): void {
  for (let sequence = from; sequence <= to; sequence += 1) {
    const { due } = gate;
    gate.left(sequence);
    if (due) gate.ask(of, now);
  }
}

t.test('echo: so many may leave after a question that has no answer', (t) => {
  const gate = new Echo();
  leave(gate, 1, 143, ALPHA, 0);
  t.equal(gate.opensAt(), OPEN);
  leave(gate, 144, 144, ALPHA, 0);
  t.equal(gate.opensAt(), 500);
  gate.answered(BRAVO, 144);
  t.equal(gate.opensAt(), 500, 'another was asked');
  gate.answered(ALPHA, 15);
  t.equal(gate.opensAt(), 500, 'of what came before the question');
  gate.answered(ALPHA, 16);
  t.equal(gate.opensAt(), OPEN);
  t.end();
});

t.test('echo: a later answer is one to all questions before it', (t) => {
  const gate = new Echo();
  leave(gate, 1, 160, ALPHA, 0);
  gate.answered(ALPHA, 64);
  leave(gate, 161, 207, ALPHA, 1);
  t.equal(gate.opensAt(), OPEN);
  leave(gate, 208, 208, ALPHA, 1);
  t.equal(gate.opensAt(), 500);
  t.end();
});

t.test('echo: who has gone is not waited for, who does not answer not for ever', (t) => {
  const gate = new Echo();
  leave(gate, 1, 150, ALPHA, 0);
  gate.gone(ALPHA);
  t.equal(gate.opensAt(), OPEN);
  t.equal(gate.expiresAt, Infinity);
  leave(gate, 151, 300, BRAVO, 10);
  t.equal(gate.opensAt(), 510);
  gate.expire(509);
  t.equal(gate.lost, 0);
  gate.expire(510);
  t.equal(gate.opensAt(), OPEN);
  t.ok(gate.lost > 0);
  t.end();
});
