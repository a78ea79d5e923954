import t from 'tap';
import { DISCOVERY_MS, type Neighbour, nextJoinStep } from '../src/joining.ts';

const neighbour = (incarnation: string, more: Partial<Neighbour> = {}): Neighbour => ({
  incarnation,
  name: `node ${incarnation}`,
  ready: false,
  uptimeMs: 1_000,
  followed: true,
  linked: true,
  failed: false,
  exchanged: false,
  ...more,
});
const step = (joiningMs: number, ...neighbours: Neighbour[]) =>
  nextJoinStep({ own: 'm', joiningMs, neighbours });

t.test('a member on its own is ready when it has looked for others long enough', (t) => {
  t.match(step(DISCOVERY_MS - 1), { kind: 'wait', reason: 'looking for other members' });
  t.same(step(DISCOVERY_MS), { kind: 'ready' });
  t.end();
});

t.test('where somebody is ready, the oldest such member is asked at once', (t) => {
  const young = neighbour('a', { ready: true, uptimeMs: 10 });
  const old = neighbour('b', { ready: true, uptimeMs: 5_000 });
  const older = neighbour('c', { uptimeMs: 90_000 });
  t.same(step(0, young, old, older), { kind: 'exchange', incarnation: 'b' });
  t.end();
});

t.test('a donor that failed lately, or has no link, is passed over', (t) => {
  const failed = neighbour('a', { ready: true, failed: true, uptimeMs: 9_000 });
  const unlinked = neighbour('b', { ready: true, linked: false, uptimeMs: 8_000 });
  const usable = neighbour('c', { ready: true });
  t.same(step(0, failed, unlinked, usable), { kind: 'exchange', incarnation: 'c' });
  t.match(step(0, failed, unlinked), { kind: 'wait', reason: /no link to node a, node b/ });
  t.end();
});

t.test(
  'nobody is asked before every stream is followed, or the snapshot would leave a hole',
  (t) => {
    const donor = neighbour('a', { ready: true });
    t.match(step(9_999, donor, neighbour('b', { followed: false })), { kind: 'wait' });
    t.end();
  },
);

t.test('where nobody is ready the least incarnation takes what all have, then is ready', (t) => {
  const others = [neighbour('n'), neighbour('o', { exchanged: true })];
  t.same(step(DISCOVERY_MS, ...others), { kind: 'exchange', incarnation: 'n' });
  t.same(step(DISCOVERY_MS, neighbour('n', { exchanged: true })), { kind: 'ready' });
  t.match(step(60_000, neighbour('a')), { kind: 'wait', reason: /node a goes first/ });
  t.end();
});
