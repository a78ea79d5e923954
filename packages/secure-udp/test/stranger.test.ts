import { Random } from '@argyle/simulator';
import t from 'tap';
import { encodeData, encodeProbe } from '../src/content.ts';
import { counting } from './fixture.ts';
import { HandClient } from './hand-association.ts';
import { CLIENT, HandNode, hello, openEpoch, STRANGER } from './hand-client.ts';

const FORGERIES = 20_000;
const TYPES = [0x96, 0x97];
/** Of a record's fields: version, length, association, epoch, sequence. */
const FIELDS: readonly (readonly [number, number])[] = [
  [1, 3],
  [3, 5],
  [5, 13],
  [13, 21],
  [21, 23],
  [21, 29],
];

/** Of what was seen: some fields are of another record, or extreme, or random; then it is cut. */
function forgery(random: Random, seen: readonly Buffer[]): Buffer {
  const one = () => seen[random.below(seen.length)]!;
  const bytes = Buffer.from(one());
  if (random.below(2) === 0) bytes[0] = TYPES[random.below(TYPES.length)]!;
  for (const [from, to] of FIELDS) {
    const way = random.below(12);
    if (way === 0) bytes.fill(0xff, from, to);
    else if (way === 1) bytes.fill(0, from, to);
    else if (way === 2) bytes.fill(random.below(256), from, to);
    else if (way === 3) one().copy(bytes, from, from, to);
  }
  if (random.below(4) > 0) return bytes;
  const cut = bytes.subarray(0, random.below(bytes.length + 1));
  if (cut.length >= 5) cut.writeUInt16BE(cut.length - 5, 3);
  return random.below(2) === 0 ? cut : Buffer.concat([cut, one()]);
}

t.test('nothing that a stranger makes of what was seen does more than be counted', (t) => {
  const random = new Random(4);
  const node = new HandNode();
  const elsewhere = openEpoch(new HandNode(), encodeData(Buffer.alloc(40)));
  const epoch = openEpoch(node, encodeData(Buffer.from('here')));
  const seen = [
    hello(),
    node.receive(hello(), STRANGER).take().at(-1)!.bytes,
    ...[epoch, elsewhere].flatMap((each) => [
      each.opening(encodeData(Buffer.alloc(300))),
      each.seal(encodeProbe(counting(1, 8), 25)),
      each.seal(encodeData(Buffer.alloc(40))),
    ]),
  ];
  // Those of the client have come already.
  for (const bytes of seen.slice(2)) node.receive(bytes, CLIENT);
  node.take();
  node.events.length = 0;
  const { counters } = node.machine;
  const total = () => [...counters.dropped.values()].reduce((sum, each) => sum + each, 0);
  let answered = 0;
  for (let count = 0; count < FORGERIES; count += 1) {
    const bytes = forgery(random, seen);
    const before = total() + counters.takes;
    const answers = node.receive(bytes, STRANGER).take();
    answered += answers.length;
    const sizeBytes = answers.reduce((sum, each) => sum + each.bytes.length, 0);
    if (sizeBytes > bytes.length) t.fail(`${sizeBytes} bytes for ${bytes.toString('hex')}`);
    if (total() + counters.takes === before) t.fail(`not counted: ${bytes.toString('hex')}`);
    if (count % 50 === 0) node.now += 1;
  }
  t.same(node.payloads(), []);
  t.equal(counters.epochs, 1);
  t.ok(answered > 20, `${answered} answers`);
  t.match(node.dropped(), { trigger: Number, authentication: Number, replayed: Number });
  t.end();
});

t.test('nor at a client', (t) => {
  const random = new Random(5);
  const client = new HandClient().start('alpha');
  const node = new HandNode();
  const seen: Buffer[] = client.sent().map(({ bytes }) => Buffer.from(bytes));
  const take = node.receive(seen[0]!).take()[0]!.bytes;
  client.receive(take, 'alpha');
  client.say('x'.repeat(40));
  for (const { bytes } of client.sent()) {
    node.receive(bytes);
    seen.push(Buffer.from(bytes));
  }
  const answers = node.take().map(({ bytes }) => bytes);
  for (const bytes of answers) client.receive(bytes, 'alpha');
  client.sent();
  client.moves();
  seen.push(take, ...answers);
  const { dropped } = client.machine.counters;
  const total = () => [...dropped.values()].reduce((sum, each) => sum + each, 0);
  for (let count = 0; count < FORGERIES; count += 1) {
    const bytes = forgery(random, seen);
    const before = total();
    client.receive(bytes, random.below(2) === 0 ? 'alpha' : 'bravo');
    if (total() === before) t.fail(`not counted: ${bytes.toString('hex')}`);
    if (client.sent().length > 0) t.fail(`answered: ${bytes.toString('hex')}`);
  }
  t.same(client.moves(), []);
  t.end();
});
