import t from 'tap';
import { GAPS_MAX, without } from '../src/gaps.ts';

const gap = (first: number, last: number) => ({ first, count: last - first + 1 });

t.test('what others ask for is taken from what is missing, whole or in part', (t) => {
  const missing = [gap(5, 9), gap(20, 20)];
  t.same(without(missing, []), missing);
  t.same(without(missing, [gap(1, 4), gap(10, 19)]), missing);
  t.same(without(missing, [gap(1, 30)]), []);
  t.same(without(missing, [gap(5, 6)]), [gap(7, 9), gap(20, 20)]);
  t.same(without(missing, [gap(8, 25)]), [gap(5, 7)]);
  t.same(without(missing, [gap(7, 7)]), [gap(5, 6), gap(8, 9), gap(20, 20)]);
  t.same(without(missing, [gap(5, 6), gap(9, 9), gap(20, 20)]), [gap(7, 8)]);
  t.end();
});

t.test('what falls apart into more than a request holds is cut off', (t) => {
  const others = Array.from({ length: 100 }, (_, index) => gap(2 * index, 2 * index));
  t.equal(without([gap(0, 199)], others).length, GAPS_MAX);
  t.end();
});
