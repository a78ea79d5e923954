import t from 'tap';
import { Agenda } from '../src/agenda.ts';

t.test('what is earliest comes first, and of one time what was added first', (t) => {
  const agenda = new Agenda<number>();
  const times = Array.from({ length: 500 }, (_, index) => (index * 7_919) % 97);
  for (const [index, at] of times.entries()) agenda.add(at, index);
  const expected = times
    .map((at, item) => ({ at, item }))
    .toSorted((a, b) => a.at - b.at || a.item - b.item);
  const found: { at: number; item: number }[] = [];
  for (let first = agenda.first; first; first = agenda.first) {
    found.push({ at: first.at, item: first.item });
    agenda.removeFirst();
  }
  t.same(found, expected);
  agenda.removeFirst();
  t.equal(agenda.first, undefined);
  t.end();
});

t.test('what is added while others are taken finds its place', (t) => {
  const agenda = new Agenda<string>();
  agenda.add(5, 'late');
  agenda.add(1, 'early');
  agenda.removeFirst();
  agenda.add(3, 'between');
  t.equal(agenda.first?.item, 'between');
  agenda.clear();
  t.equal(agenda.first, undefined);
  t.end();
});
