import t from 'tap';
import { Fifo } from '../src/fifo.ts';

t.test('what went in first comes out first, whatever goes in meanwhile', (t) => {
  const fifo = new Fifo<number>();
  t.equal(fifo.shift(), undefined);
  let [pushed, shifted] = [0, 0];
  for (let round = 1; round <= 200; round += 1) {
    for (let count = 0; count < (round * 37) % 101; count += 1) fifo.push((pushed += 1));
    for (let count = 0; count < (round * 53) % 97 && shifted < pushed; count += 1) {
      t.equal(fifo.first, shifted + 1);
      t.equal(fifo.shift(), (shifted += 1));
    }
    t.equal(fifo.length, pushed - shifted);
  }
  t.ok(pushed > 5_000);
  while (shifted < pushed) t.equal(fifo.shift(), (shifted += 1));
  t.equal(fifo.first, undefined);
  t.equal(fifo.length, 0);
  t.end();
});
