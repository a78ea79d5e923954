import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { once } from 'node:events';
import t from 'tap';
import { describeCrash } from '../src/log.ts';

const SECRET = 'hunter2';

function thrown(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

t.test('a crash is told by its kind and place, not by what it quotes', async (t) => {
  for (const error of [
    new Error(`the password ${SECRET} is wrong`),
    thrown(() => Buffer.alloc(SECRET as unknown as number)),
    thrown(() => JSON.parse(SECRET)),
    thrown(() => assert.equal(SECRET, 'other')),
  ]) {
    const told = describeCrash(error);
    t.match(told, { event: 'crash', error: String, at: [String] });
    t.notMatch(JSON.stringify(told), SECRET);
  }
  t.same(describeCrash(SECRET), { event: 'crash', thrown: 'string' });
});

t.test("our own assertions and the system's errors say why", async (t) => {
  t.match(describeCrash(thrown(() => assert(false, 'a ring never overflows'))), {
    error: 'AssertionError',
    reason: 'a ring never overflows',
  });
  const socket = connect(1, '127.0.0.1');
  const [error] = await once(socket, 'error');
  t.match(describeCrash(error), { code: 'ECONNREFUSED', reason: /127\.0\.0\.1:1/ });
});
