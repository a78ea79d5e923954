import t from 'tap';
import { Listening } from '../src/listening.ts';
import { Peer } from '../src/peer.ts';

/** In which of these seconds the group is joined anew; heartbeats come in each by each way. */
function rejoins(
  listening: Listening,
  peer: Peer,
  seconds: { from: number; to: number; ways: readonly ('group' | 'own')[]; deaf?: true },
): number[] {
  const times: number[] = [];
  for (let second = seconds.from; second < seconds.to; second += 1) {
    const now = second * 1_000;
    for (const agoMs of [750, 500, 250, 0]) {
      for (const way of seconds.ways) peer.hearing.handle(way, now - agoMs);
    }
    if (!seconds.deaf) listening.own.handle('group', now);
    if (listening.review([peer], now, now).rejoin) times.push(second);
  }
  return times;
}

function stranger(): Peer {
  return new Peer('0a'.repeat(16), { address: '198.18.0.1', port: 1 }, false, 0);
}

t.test('the group is joined anew ever more rarely while that does not help', (t) => {
  const [listening, peer] = [new Listening(), stranger()];
  t.same(rejoins(listening, peer, { from: 0, to: 100, ways: ['group', 'own'] }), []);
  const muted = rejoins(listening, peer, { from: 100, to: 1_800, ways: ['own'] });
  t.same(muted, [100, 131, 192, 313, 554, 1_035, 1_516]);
  t.equal(listening.rejoins, 7);
  t.same(rejoins(listening, peer, { from: 1_800, to: 2_100, ways: ['group'] }), []);
  t.same(rejoins(listening, peer, { from: 2_100, to: 2_120, ways: ['own'] }), [2_100]);
  t.end();
});

t.test('who does not hear even itself joins anew, but not while it starts', (t) => {
  const [listening, peer] = [new Listening(), stranger()];
  const times = rejoins(listening, peer, { from: 0, to: 60, ways: ['group'], deaf: true });
  t.same(times, [2, 33]);
  t.end();
});

t.test('who is heard by unicast alone from the start is no reason to join anew', (t) => {
  const [listening, peer] = [new Listening(), stranger()];
  t.same(rejoins(listening, peer, { from: 0, to: 100, ways: ['own'] }), []);
  t.end();
});
