import t from 'tap';
import { openingRandom } from '../src/take.ts';
import { RecordType } from '../src/record.ts';
import { HandClient, HandOffer, received, settled } from './hand-association.ts';

t.test('until the node has answered every record opens, then none does', (t) => {
  const client = new HandClient().start('alpha');
  client.say('waits');
  const [hello] = client.sent();
  t.same([hello?.to, hello?.bytes.length, hello?.type], ['alpha', 69, RecordType.takeOver]);
  const offer = new HandOffer(1);
  client.receive(offer.take(hello!), 'alpha');
  client.say('another');
  const openings = client.sent();
  t.same(
    openings.map(({ type, sequence }) => [type, sequence]),
    [
      [RecordType.takeOver, 0],
      [RecordType.takeOver, 1],
    ],
  );
  t.same(openingRandom(openings[0]!), openingRandom(openings[1]!), 'with one C');
  client.receive(offer.answer(openings[0]!, received(1)), 'alpha');
  client.say('more');
  t.same(
    client.sent().map(({ type, sequence }) => [type, sequence]),
    [[RecordType.sealed, 2]],
  );
  t.end();
});

t.test(
  'a TAKE moves nobody if it is replayed, late, from elsewhere, forged or not asked for',
  (t) => {
    const { client, offer, opening } = settled();
    client.say('one');
    const [one] = client.sent();
    const next = new HandOffer(2);
    client.receive(next.take(one!), 'bravo');
    t.equal(client.dropped('stale take'), 1, 'from where the record did not go');
    const never = { ...one!, sequence: 77 };
    client.receive(next.take(never), 'alpha');
    t.equal(client.dropped('stale take'), 2, 'for a record that was never sent');
    const forged = next.take(one!);
    forged[60]! ^= 1;
    client.receive(forged, 'alpha');
    t.equal(client.dropped('take'), 1);
    client.receive(offer.answer(opening, received(one!.sequence)), 'alpha');
    client.receive(next.take(one!), 'alpha');
    t.equal(client.dropped('stale take'), 3, 'for a record that the owner has');
    client.say('two');
    const [two] = client.sent();
    client.now += 3_000;
    client.receive(next.take(two!), 'alpha');
    t.equal(client.dropped('stale take'), 4, 'three seconds later');
    t.ok(client.sent().every(({ epoch }) => epoch !== next.epoch));
    t.end();
  },
);

t.test('one record has one TAKE', (t) => {
  const client = new HandClient().start('alpha');
  const [hello] = client.sent();
  client.receive(new HandOffer(1).take(hello!), 'alpha');
  client.receive(new HandOffer(2).take(hello!), 'alpha');
  t.equal(client.dropped('stale take'), 1);
  t.equal(client.machine.counters.epochsOpened, 1);
  t.end();
});

t.test('a TAKE of who is no candidate any more moves nobody, and makes no epoch', (t) => {
  const client = new HandClient().start('alpha');
  const [hello] = client.sent();
  client.start('bravo');
  const [again] = client.sent();
  const offer = new HandOffer(1);
  client.receive(offer.take(hello!), 'alpha');
  t.same([client.machine.endpoint, client.machine.counters.epochsOpened], [undefined, 0]);
  t.equal(client.dropped('stale take'), 1);
  client.receive(offer.take(again!), 'bravo');
  t.equal(client.machine.endpoint, 'bravo');
  const { client: settledClient } = settled('bravo');
  settledClient.pass(100);
  const [standby] = settledClient.sent();
  settledClient.start('alpha', 'charlie');
  settledClient.receive(new HandOffer(2).take(standby!), 'bravo');
  t.equal(settledClient.dropped('stale take'), 1);
  settledClient.start('alpha', 'bravo');
  settledClient.receive(new HandOffer(3).take(standby!), 'bravo');
  t.match(settledClient.sent().at(-1), { to: 'bravo', sequence: 0 }, 'it is one again');
  t.end();
});

t.test('a TAKE for a payload moves there, and what went there is sent again', (t) => {
  const { client } = settled();
  client.say('one');
  client.say('two');
  const [one, two] = client.sent();
  const next = new HandOffer(2);
  client.receive(next.take(one!), 'alpha');
  const again = client.sent();
  t.same(
    again.map(({ epoch, sequence }) => [epoch, sequence]),
    [
      [next.epoch, 0],
      [next.epoch, 1],
    ],
  );
  client.receive(next.take(two!), 'alpha');
  t.equal(client.dropped('stale take'), 1, 'the other record is no longer waited for');
  t.end();
});

t.test('an epoch that is offered again goes on with its sequence, under its C', (t) => {
  const client = new HandClient().start('alpha');
  const offer = new HandOffer(1);
  const [first] = client.sent();
  client.pass(200);
  const [second] = client.sent();
  client.receive(offer.take(first!), 'alpha');
  const [probe] = client.sent();
  client.receive(offer.take(second!), 'alpha');
  client.say('one');
  const [one] = client.sent();
  t.same([one?.epoch, one?.sequence], [offer.epoch, probe!.sequence + 1]);
  t.same(openingRandom(one!), openingRandom(probe!));
  t.equal(client.machine.counters.epochsOpened, 1);
  t.end();
});

t.test('an answer to a standby moves nothing', (t) => {
  const { client } = settled('bravo');
  client.pass(100);
  const [hello] = client.sent();
  t.equal(hello?.to, 'bravo');
  const standby = new HandOffer(2);
  client.receive(standby.take(hello!), 'bravo');
  const [opening] = client.sent();
  t.same([opening?.to, opening?.type, opening?.sequence], ['bravo', RecordType.takeOver, 0]);
  t.ok(opening!.bytes.length >= 69, 'a probe that may be answered by a TAKE');
  const restarted = new HandOffer(3);
  client.receive(restarted.take(opening!), 'bravo');
  t.same(
    client.sent().map(({ epoch }) => epoch),
    [restarted.epoch],
    'it is renewed',
  );
  t.equal(client.machine.endpoint, 'alpha');
  client.say('one');
  t.same(
    client.sent().map(({ to }) => to),
    ['alpha'],
  );
  t.end();
});

t.test('what is for another association, or of an unknown epoch, is counted', (t) => {
  const { client, offer, opening } = settled();
  const other = offer.answer(opening, received(0));
  other.write('ffff', 5, 'hex');
  client.receive(other, 'alpha');
  t.equal(client.dropped('association'), 1);
  const unknown = offer.answer(opening, received(0));
  unknown.write('ffff', 13, 'hex');
  client.receive(unknown, 'alpha');
  t.equal(client.dropped('epoch'), 1);
  t.end();
});

t.test('every truncation and every flipped bit of what a node sends is refused', (t) => {
  const { client, offer, opening } = settled();
  const payload = Buffer.concat([Buffer.of(1), Buffer.from('down')]);
  const record = offer.answer(opening, payload);
  const payloads = () => {
    const got: string[] = [];
    for (let event = client.machine.pollEvent(); event; event = client.machine.pollEvent()) {
      if (event.kind === 'payload') got.push(Buffer.from(event.payload).toString());
    }
    return got;
  };
  for (let end = 0; end < record.length; end += 1) client.receive(record.subarray(0, end), 'alpha');
  for (let bit = 0; bit < record.length * 8; bit += 1) {
    const forged = Buffer.from(record);
    forged[bit >> 3]! ^= 1 << (bit & 7);
    client.receive(forged, 'alpha');
  }
  t.same(payloads(), []);
  client.receive(record, 'alpha');
  client.receive(record, 'alpha');
  t.same(payloads(), ['down']);
  t.end();
});
