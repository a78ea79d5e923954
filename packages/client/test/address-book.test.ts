import t from 'tap';
import { AddressBook } from '../src/address-book.ts';

const PORT = 11080;

/** With the least jitter that can be drawn: a regular look-up after 24 s. */
function open(...nodes: readonly (string | readonly [string, number])[]) {
  const endpoints = nodes.map((node) => {
    const [address, port] = typeof node === 'string' ? [node, PORT] : node;
    return { address, port };
  });
  return new AddressBook({ nodes: endpoints, random: () => 0 }, 0);
}

function labels(book: AddressBook) {
  return book.addresses.map(({ label }) => label);
}

function keys(book: AddressBook) {
  return book.addresses.map(({ key }) => key);
}

/** `A` comes at the time it was asked for. */
function answer(book: AddressBook, name: string, addresses: readonly string[], now: number) {
  t.ok(book.due(now).includes(name), `${name} is due at ${now}`);
  book.answered(name, addresses, now);
}

t.test(
  'addresses are there from the start, as they were written, and nobody is asked',
  async (t) => {
    const book = open('192.0.2.1', '2001:DB8:0::1');
    t.same(labels(book), ['192.0.2.1:11080', '[2001:DB8:0::1]:11080']);
    t.same(keys(book), ['192.0.2.1:11080', '[2001:db8::1]:11080']);
    t.equal(book.deadline, Infinity);
    t.same(book.due(1e9), []);
    t.same(book.status(0), []);
  },
);

t.test('each address of a name is one, shown with the name', async (t) => {
  const book = open('node');
  t.same(book.addresses, []);
  t.equal(book.deadline, 0);
  t.notOk(book.lookingUp);
  t.same(book.due(0), ['node']);
  t.ok(book.lookingUp);
  t.same(book.due(0), [], 'it is being looked up');
  book.answered('node', ['192.0.2.2', '192.0.2.1', '2001:db8::1'], 5);
  t.same(book.addresses, [
    {
      key: '192.0.2.2:11080',
      endpoint: { address: '192.0.2.2', port: PORT },
      label: 'node:11080 (192.0.2.2)',
    },
    {
      key: '192.0.2.1:11080',
      endpoint: { address: '192.0.2.1', port: PORT },
      label: 'node:11080 (192.0.2.1)',
    },
    {
      key: '[2001:db8::1]:11080',
      endpoint: { address: '2001:db8::1', port: PORT },
      label: 'node:11080 (2001:db8::1)',
    },
  ]);
  t.match(book.status(7), [{ name: 'node', ageMs: 2, failure: undefined }]);
});

t.test('what means the same is one: mapped, written differently, or named twice', async (t) => {
  const book = open('::ffff:192.0.2.1', '192.0.2.1', 'node', 'alias', ['node', 443]);
  t.same(labels(book), ['[::ffff:192.0.2.1]:11080'], 'as it was written first');
  t.same(book.due(0), ['node', 'alias'], 'a name with two ports is asked for once');
  book.answered('node', ['::ffff:c000:201', '2001:db8:0::2', '2001:DB8::2', '192.0.2.3'], 0);
  book.answered('alias', ['192.0.2.3', '192.0.2.4'], 0);
  t.same(labels(book), [
    '[::ffff:192.0.2.1]:11080',
    'node:11080 (2001:db8::2)',
    'node:11080 (192.0.2.3)',
    'alias:11080 (192.0.2.4)',
    'node:443 (192.0.2.1)',
    'node:443 (2001:db8::2)',
    'node:443 (192.0.2.3)',
  ]);
  answer(book, 'node', ['192.0.2.9'], 24_000);
  t.ok(labels(book).includes('alias:11080 (192.0.2.3)'), 'the other name still means it');
});

t.test(
  'a name is looked up again every half minute or so, counted from the question',
  async (t) => {
    const book = open('node');
    t.same(book.due(0), ['node']);
    book.answered('node', ['192.0.2.1'], 4_000);
    t.equal(book.deadline, 24_000);
    t.same(book.due(23_999), []);
    t.same(book.due(24_000), ['node']);
    book.answered('node', ['192.0.2.2'], 24_000);
    t.same(keys(book), ['192.0.2.2:11080'], 'only what it means now');
  },
);

t.test(
  'a look-up that fails takes no address away, and comes again ever more rarely',
  async (t) => {
    const book = open('node');
    answer(book, 'node', ['192.0.2.1'], 0);
    let now = book.deadline;
    const waits = Array.from({ length: 7 }, () => {
      book.due(now);
      book.failed('node', 'no answer');
      const waitMs = book.deadline - now;
      now = book.deadline;
      return waitMs;
    });
    t.same(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    t.same(keys(book), ['192.0.2.1:11080']);
    t.ok(book.isLost('node'));
    t.match(book.status(now), [{ addresses: ['192.0.2.1'], ageMs: now, failure: 'no answer' }]);
    answer(book, 'node', ['192.0.2.1'], now);
    t.notOk(book.isLost('node'));
    book.due(book.deadline);
    const again = book.deadline;
    book.failed('node', 'no answer');
    t.not(book.deadline, again);
  },
);

t.test('doubt brings a look-up forward, of the names that lead there, once a second', async (t) => {
  const book = open('node', 'other', '192.0.2.9');
  answer(book, 'node', ['192.0.2.1'], 0);
  book.answered('other', ['192.0.2.2'], 0);
  book.doubt('192.0.2.9:11080');
  book.doubt('192.0.2.1:443');
  t.equal(book.deadline, 24_000, 'no name leads there');
  book.doubt('192.0.2.1:11080');
  t.equal(book.deadline, 1_000);
  t.same(book.due(1_000), ['node']);
  book.doubt('192.0.2.1:11080');
  t.equal(book.deadline, 24_000, 'it is being looked up');
  book.answered('node', ['192.0.2.1'], 1_100);
  for (let time = 0; time < 100; time += 1) book.doubt('192.0.2.1:11080');
  t.equal(book.deadline, 2_000);
});

t.test('of too many addresses those that are known stay', async (t) => {
  const book = open('node');
  const many = Array.from({ length: 100 }, (_, n) => `192.0.2.${n}`);
  answer(book, 'node', many, 0);
  const first = keys(book);
  t.equal(first.length, 32);
  answer(book, 'node', many.toReversed(), 24_000);
  t.same(keys(book), first);
});
