import t from 'tap';
import { ClientError } from '../src/errors.ts';
import { hedged, type Attempt } from '../src/hedge.ts';

/** Attempts that a test ends by hand. */
class Attempts {
  readonly begun: (PromiseWithResolvers<string> & { signal: AbortSignal; silent: () => void })[] =
    [];
  readonly discarded: string[] = [];
  readonly #controller = new AbortController();

  start(attemptsMax = 3): Promise<string> {
    const attempt: Attempt<string> = (signal, silent) => {
      const resolvers = Promise.withResolvers<string>();
      this.begun.push({ ...resolvers, signal, silent });
      return resolvers.promise;
    };
    const discard = (result: string) => void this.discarded.push(result);
    return hedged(attempt, { signal: this.#controller.signal, attemptsMax, discard });
  }

  at(index: number) {
    const attempt = this.begun[index];
    if (!attempt) throw new Error(`attempt ${index} has not begun`);
    return attempt;
  }

  abort(reason: ClientError): void {
    this.#controller.abort(reason);
  }

  fail(index: number, code: 'reset' | 'exhausted' = 'reset'): void {
    this.at(index).reject(new ClientError(code, code));
  }
}

/** All that follows from what was done. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('the next attempt begins when the newest fails, and not after the last', async (t) => {
  const attempts = new Attempts();
  const end = attempts.start(2);
  attempts.fail(0);
  await turn();
  attempts.fail(1);
  await t.rejects(end, { code: 'reset' });
  t.equal(attempts.begun.length, 2);
});

t.test('a silent attempt goes on beside the next, and the first result counts', async (t) => {
  for (const winner of [0, 1]) {
    const attempts = new Attempts();
    const end = attempts.start();
    attempts.at(0).silent();
    attempts.at(0).silent();
    t.equal(attempts.begun.length, 2, 'saying it twice is saying it once');
    attempts.at(winner).resolve(`result ${winner}`);
    t.equal(await end, `result ${winner}`);
    const loser = attempts.at(1 - winner);
    t.ok(loser.signal.aborted);
    t.notOk(attempts.at(winner).signal.aborted);
    loser.resolve('late');
    await turn();
    t.same(attempts.discarded, ['late']);
    loser.silent();
    t.equal(attempts.begun.length, 2);
  }
});

t.test('results of the same moment: one counts, the other is discarded', async (t) => {
  const attempts = new Attempts();
  const end = attempts.start();
  attempts.at(0).silent();
  attempts.at(1).resolve('second');
  attempts.fail(0);
  t.equal(await end, 'second');
  t.equal(attempts.begun.length, 2);
});

t.test('with nothing left to attempt, those that are open are waited for', async (t) => {
  const attempts = new Attempts();
  const end = attempts.start();
  attempts.at(0).silent();
  attempts.fail(1, 'exhausted');
  await turn();
  t.equal(attempts.begun.length, 2);
  attempts.at(0).resolve('after all');
  t.equal(await end, 'after all');
});

t.test('an abort ends every attempt with its reason', async (t) => {
  const attempts = new Attempts();
  const end = attempts.start();
  attempts.at(0).silent();
  const reason = new ClientError('timeout', 'too late');
  attempts.abort(reason);
  await t.rejects(end, reason);
  t.ok(attempts.begun.every(({ signal }) => signal.reason === reason));
  attempts.at(0).resolve('late');
  await turn();
  t.same(attempts.discarded, ['late']);
  await t.rejects(attempts.start(), reason);
  t.equal(attempts.begun.length, 2, 'nothing begins after it');
});
