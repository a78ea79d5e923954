import t from 'tap';
import { SecondChance } from '../src/second-chance.ts';

const entry = (name: string) => ({ name, used: false });

t.test('the oldest makes room, and is told', async (t) => {
  const evicted: string[] = [];
  const known = new SecondChance<string, ReturnType<typeof entry>>(2, ({ name }) => {
    evicted.push(name);
  });
  for (const name of ['a', 'b', 'c', 'd']) known.add(name, entry(name));
  t.same(evicted, ['a', 'b']);
  t.equal(known.size, 2);
  t.equal(known.get('a'), undefined);
});

t.test('who was used since is passed over once', async (t) => {
  const evicted: string[] = [];
  const known = new SecondChance<string, ReturnType<typeof entry>>(3, ({ name }) => {
    evicted.push(name);
  });
  for (const name of ['a', 'b', 'c']) known.add(name, entry(name));
  known.get('a');
  known.add('d', entry('d'));
  t.same(evicted, ['b']);
  known.add('e', entry('e'));
  known.add('f', entry('f'));
  t.same(evicted, ['b', 'c', 'a'], 'nobody used it again');
});

t.test('when all were used, the oldest goes', async (t) => {
  const known = new SecondChance<string, ReturnType<typeof entry>>(2);
  for (const name of ['a', 'b']) known.add(name, entry(name));
  for (const name of ['a', 'b']) known.get(name);
  known.add('c', entry('c'));
  t.equal(known.get('a'), undefined);
  t.ok(known.get('b'));
});
