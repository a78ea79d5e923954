import t from 'tap';
import { Differences } from '../src/differences.ts';

/** When exchanges began, in milliseconds, with a peer whose digest is another at each look. */
function exchanges(differences: Differences, from: number, to: number): number[] {
  const begun: number[] = [];
  for (let now = from; now < to; now += 50) {
    differences.compare('b', `ours ${now}`, `theirs ${now}`, now);
    if (differences.due(now) === undefined) continue;
    differences.exchanging('b');
    begun.push(now);
  }
  return begun;
}

t.test('digests that differ and stand still are due; the lesser incarnation is first', (t) => {
  for (const [own, dueAt] of [
    ['a', 350],
    ['c', 700],
  ] as const) {
    const differences = new Differences(() => own);
    differences.compare('b', 'x', 'y', 0);
    differences.compare('b', 'x', 'y', dueAt - 1);
    t.equal(differences.due(dueAt - 1), undefined);
    t.equal(differences.due(dueAt), 'b');
  }
  t.end();
});

t.test('under steady writes exchanges become rare, until the digests were equal once', (t) => {
  const differences = new Differences(() => 'a');
  const begun = exchanges(differences, 0, 150_000);
  t.ok(begun.length >= 4 && begun.length <= 5, `${begun.length} exchanges`);
  differences.compare('b', 'same', 'same', 150_000);
  t.equal(exchanges(differences, 150_050, 156_000).length, 1, 'soon again');
  t.end();
});
