import t from 'tap';
import { Hearing } from '../src/hearing.ts';

/** Heartbeats every 250 ms by those ways, and a review after each. */
function beat(hearing: Hearing, from: number, to: number, ...ways: ('group' | 'own')[]): string[] {
  const changes: string[] = [];
  for (let now = from; now < to; now += 250) {
    for (const way of ways) hearing.handle(way, now);
    if (!hearing.review(now)) continue;
    changes.push(`${now - from} ${hearing.heard(now).wantsUnicast ? 'unicast' : 'multicast'}`);
  }
  return changes;
}

t.test('who is first heard by multicast is reached so at once', (t) => {
  const hearing = new Hearing();
  hearing.handle('group', 0);
  t.same(hearing.heard(0), { multicast: true, unicast: false, wantsUnicast: false });
  t.end();
});

t.test('who is heard by unicast alone is reached so, until multicast comes', (t) => {
  const hearing = new Hearing();
  t.same(beat(hearing, 0, 20_000, 'own'), []);
  t.same(hearing.heard(19_750), { multicast: false, unicast: true, wantsUnicast: true });
  t.notOk(hearing.muted(19_750), 'joining anew is for those who were heard once');
  hearing.handle('group', 20_000);
  t.notOk(hearing.heard(20_000).wantsUnicast);
  t.end();
});

t.test('silence by both ways asks for nothing: that member is gone', (t) => {
  const hearing = new Hearing();
  beat(hearing, 0, 1_000, 'group', 'own');
  t.same(beat(hearing, 1_000, 10_000), []);
  t.notOk(hearing.muted(5_000));
  t.end();
});

t.test('nor does silence after one last word by unicast, or a pause before the next', (t) => {
  const hearing = new Hearing();
  beat(hearing, 0, 10_000, 'group');
  for (const now of [9_751, 9_900, 10_150]) hearing.handle('own', now);
  t.same(beat(hearing, 10_250, 13_000), [], 'it died');
  t.notOk(hearing.muted(13_000));
  hearing.handle('own', 13_000);
  t.notOk(hearing.muted(13_000), 'it stood still, and its multicast is on its way');
  t.notOk(hearing.review(13_000));
  t.end();
});

t.test('multicast that stops is missed after a second, and unicast asked for after 1.5', (t) => {
  const hearing = new Hearing();
  beat(hearing, 0, 100_000, 'group');
  t.same(beat(hearing, 100_000, 100_750, 'own'), []);
  t.notOk(hearing.muted(100_749));
  t.ok(hearing.muted(100_750));
  t.same(beat(hearing, 100_750, 110_000, 'own'), ['500 unicast']);
  t.end();
});

t.test('multicast must stay for 3 s before it is relied on again', (t) => {
  const hearing = new Hearing();
  beat(hearing, 0, 100_000, 'group');
  beat(hearing, 100_000, 110_000, 'own');
  t.same(beat(hearing, 110_000, 112_000, 'group', 'own'), []);
  t.same(beat(hearing, 113_000, 115_750, 'group', 'own'), [], 'a pause begins it anew');
  t.same(beat(hearing, 115_750, 120_000, 'group', 'own'), ['250 multicast']);
  t.end();
});

t.test(
  'a way that comes and goes is relied on ever more rarely, and after a calm as before',
  (t) => {
    const hearing = new Hearing();
    let now = 0;
    let changes = 0;
    beat(hearing, now, (now += 100_000), 'group');
    for (let round = 0; round < 100; round += 1) {
      changes += beat(hearing, now, (now += 2_000), 'own').length;
      changes += beat(hearing, now, (now += 7_000), 'group', 'own').length;
    }
    t.equal(changes, 5, 'in 900 s: after 3 s, after 6 s, and then no more');
    t.equal(beat(hearing, now, (now += 120_000), 'group').length, 1);
    t.equal(beat(hearing, now, (now += 2_000), 'own').length, 1);
    t.same(beat(hearing, now, now + 5_000, 'group'), ['3000 multicast']);
    t.end();
  },
);

t.test('who did not run for a while misses nothing', (t) => {
  const hearing = new Hearing();
  beat(hearing, 0, 1_000, 'group', 'own');
  hearing.forgive(2_000);
  t.ok(hearing.heard(3_200).multicast);
  t.end();
});
