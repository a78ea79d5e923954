import t from 'tap';
import { Random } from '@argyle/simulator';
import { type Lab, moves, NAMES, threeNodes } from './lab.ts';
import type { ClientProcess } from './processes.ts';

const INTERVAL_MS = 20;
const ROUNDS = 40;

/** The longest time in which nothing reached the target, among those after `since`. */
function gap(client: ClientProcess, since: number): number {
  const times = [...client.arrivals.values()].sort((a, b) => a - b);
  let longest = 0;
  for (const [index, at] of times.entries()) {
    const next = times[index + 1];
    if (next !== undefined && next > since) longest = Math.max(longest, next - at);
  }
  return longest;
}

/** Gaps, in order, that a fault of the owner leaves in a stream, each in a run of its own. */
function gaps(fault: (lab: Lab, owner: string) => void, refusals: boolean): number[] {
  return Array.from({ length: ROUNDS }, (_, index) => {
    const seed = index + 1;
    const lab = threeNodes({ delayMinMs: 0.05, delayMeanMs: 0.3 }, seed);
    lab.refusals = refusals;
    const client = lab.startClient('client', NAMES);
    lab.talk(1_000, INTERVAL_MS);
    lab.run(new Random(seed).uniform() * INTERVAL_MS);
    const since = lab.simulator.now;
    fault(lab, client.machine.endpoint ?? '');
    lab.talk(1_000, INTERVAL_MS);
    t.equal(client.arrivals.size, 100, `every payload arrived, seed ${seed}`);
    return gap(client, since);
  }).sort((a, b) => a - b);
}

const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Infinity;

t.test('a killed owner whose port is refused leaves a gap of little more than an interval', (t) => {
  const all = gaps((lab, owner) => lab.kill(owner), true);
  t.comment(`median ${quantile(all, 0.5).toFixed(1)} ms, worst ${all.at(-1)?.toFixed(1)} ms`);
  t.ok(quantile(all, 0.5) <= 60);
  t.ok(quantile(all, 0.9) <= 150);
  t.end();
});

t.test('an owner that answers nothing is left within 120 ms', (t) => {
  const all = gaps((lab, owner) => lab.node(owner).host.pause(), false);
  t.comment(`median ${quantile(all, 0.5).toFixed(1)} ms, worst ${all.at(-1)?.toFixed(1)} ms`);
  t.ok(quantile(all, 0.5) <= 120);
  t.ok(quantile(all, 0.95) <= 250);
  t.end();
});

/** Paths that a client may have, none of them with anything wrong. */
const PATHS = [
  { name: 'of a host', delayMinMs: 0.05, delayMeanMs: 0.1 },
  { name: 'of a busy host', delayMinMs: 0.1, delayMeanMs: 4 },
  { name: 'of a city', delayMinMs: 5, delayMeanMs: 2 },
  { name: 'of radio', delayMinMs: 15, delayMeanMs: 10 },
  { name: 'of a continent', delayMinMs: 60, delayMeanMs: 8 },
  { name: 'of a satellite', delayMinMs: 280, delayMeanMs: 15 },
  { name: 'that loses 1 %', delayMinMs: 10, delayMeanMs: 3, loss: 0.01 },
  { name: 'that loses 5 %', delayMinMs: 10, delayMeanMs: 3, loss: 0.05 },
];
for (const { name, ...faults } of PATHS) {
  t.test(`nobody moves for nothing on a path ${name}`, (t) => {
    let moved = 0;
    for (const [index, intervalMs] of [5, 20, 300].entries()) {
      const lab = threeNodes(faults, 7 + index);
      const client = lab.startClient('client', NAMES);
      lab.talk(40_000, intervalMs);
      moved += moves(client).length;
      t.comment(`every ${intervalMs} ms: ${client.machine.counters.probes} probes`);
    }
    t.equal(moved, 0);
    t.end();
  });
}

t.test('an owner that stands still for less than 70 ms is not left', (t) => {
  for (const stillMs of [20, 40, 60, 70]) {
    const lab = threeNodes({}, stillMs);
    const client = lab.startClient('client', NAMES);
    lab.talk(500, INTERVAL_MS);
    for (let round = 0; round < 20; round += 1) {
      const { host } = lab.node('alpha');
      host.pause();
      lab.simulator.after(stillMs, () => host.resume());
      lab.talk(500 + round, INTERVAL_MS);
    }
    t.equal(client.machine.endpoint, 'alpha', `${stillMs} ms`);
    t.same(moves(client), []);
  }
  t.end();
});

t.test('a client that left a node too hastily is more patient for a while', (t) => {
  const lab = threeNodes({}, 3);
  const client = lab.startClient('client', NAMES);
  lab.talk(500, INTERVAL_MS);
  const stall = () => {
    const { host } = lab.node(client.machine.endpoint ?? '');
    host.pause();
    lab.simulator.after(120, () => host.resume());
    lab.talk(1_000, INTERVAL_MS);
  };
  stall();
  t.same([moves(client).length, client.machine.counters.hasty], [1, 1]);
  for (let round = 0; round < 10; round += 1) stall();
  t.equal(moves(client).length, 1, 'stalls like that are nothing new');
  lab.talk(40_000, INTERVAL_MS);
  stall();
  t.equal(moves(client).length, 2, 'and forgotten later');
  t.end();
});

t.test('a client that stood still itself does not blame its node', (t) => {
  const lab = threeNodes({}, 5);
  const client = lab.startClient('client', NAMES);
  lab.talk(500, INTERVAL_MS);
  for (let round = 0; round < 20; round += 1) {
    client.host.pause();
    lab.simulator.after(30 + 20 * round, () => client.host.resume());
    lab.talk(1_000, INTERVAL_MS);
  }
  t.same(moves(client), []);
  t.end();
});
