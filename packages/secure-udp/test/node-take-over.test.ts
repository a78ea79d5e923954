import t from 'tap';
import { encodeData, encodeEnd, encodeProbe } from '../src/content.ts';
import { RecordType, SEQUENCE_OFFSET } from '../src/record.ts';
import { encodeTake, TAKE_BYTES } from '../src/take.ts';
import { counting, EPOCH, ID, keysOf, NODE_RANDOM } from './fixture.ts';
import {
  CLIENT,
  distinct,
  HandEpoch,
  HandNode,
  hello,
  openEpoch,
  read,
  STRANGER,
} from './hand-client.ts';

const payload = (text: string) => encodeData(Buffer.from(text));
const C = counting(0xc0, 16);
const TOKEN = counting(1, 8);

t.test('a HELLO is answered by a TAKE, and its first opening record is relayed at once', (t) => {
  const node = new HandNode().receive(hello());
  const [take] = node.take();
  t.same([take!.bytes.length, take!.to], [TAKE_BYTES, CLIENT]);
  const epoch = new HandEpoch(take!.bytes, C);
  node.receive(epoch.opening(payload('first')));
  t.same(node.payloads(), ['first']);
  t.match(epoch.open(node.take()[0]!.bytes), [{ kind: 'received', receipt: { highest: 0 } }]);
  node.receive(epoch.opening(payload('second'))).receive(epoch.seal(payload('third')));
  t.same(node.payloads(), ['second', 'third'], 'opening records and others');
  t.end();
});

t.test('a record of an epoch that the node does not hold is not opened, but answered', (t) => {
  const first = new HandNode();
  const epoch = openEpoch(first, payload('here'));
  const record = epoch.seal(payload('a payload that is long enough'));
  const second = new HandNode().receive(record);
  t.same(second.events, []);
  t.equal(second.take()[0]!.bytes.length, TAKE_BYTES);
  t.equal(second.machine.size, 0, 'no epoch came of it');
  t.end();
});

t.test('no answer is longer than its trigger', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(new HandNode(), payload(''));
  node.receive(epoch.seal(payload('')));
  t.same([node.take(), node.dropped()], [[], { trigger: 1 }]);
  node.receive(hello().subarray(0, 68));
  t.same([node.take(), node.dropped()], [[], { trigger: 1, length: 1 }]);
  t.end();
});

t.test('a trigger whose sequence nobody can have sent is dropped', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(new HandNode(), payload(''));
  for (const high of [0xff, 0x80, 0x01]) {
    const [asked, record] = [hello(), epoch.seal(payload('a payload that is long enough'))];
    for (const trigger of [asked, record]) {
      trigger.writeUInt8(high, SEQUENCE_OFFSET + 1);
      node.receive(trigger);
    }
  }
  t.same([node.take(), node.dropped(), node.machine.offers], [[], { trigger: 6 }, 0]);
  t.end();
});

t.test('a HELLO in the name of a node is answered once, and nobody answers the answer', (t) => {
  const [one, other] = [new HandNode(), new HandNode()];
  other.receive(one.receive(hello(), STRANGER).take()[0]!.bytes);
  t.same([other.take(), other.dropped()], [[], { trigger: 1 }]);
  t.end();
});

t.test('no flipped bit of what a client sends is relayed, or ends the node', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('here'));
  const offered = new HandEpoch(node.receive(hello(), STRANGER).take().at(-1)!.bytes, C);
  const sent = [
    hello(),
    epoch.seal(payload('sealed')),
    epoch.opening(payload('opening again')),
    offered.opening(payload('opening')),
  ];
  node.events.splice(0);
  for (const record of sent) {
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const forged = Buffer.from(record);
      forged[bit >> 3]! ^= 1 << (bit & 7);
      node.receive(forged, STRANGER).pass(25);
    }
  }
  t.same(node.payloads(), []);
  node.receive(sent[1]!);
  t.same(node.payloads(), ['sealed'], 'the node serves on');
  t.end();
});

t.test('repeated triggers from one address get the same epoch, others another one', (t) => {
  const node = new HandNode();
  const epochOf = (from = CLIENT) => read(node.receive(hello(), from).take()[0]!.bytes).epoch;
  const first = epochOf();
  t.equal(epochOf(), first);
  t.not(epochOf(STRANGER), first);
  node.pass(4_990);
  t.equal(epochOf(), first);
  node.pass(20);
  t.not(epochOf(), first, 'after five seconds it is forgotten');
  t.end();
});

t.test('an offer is used up by the first record that opens', (t) => {
  const node = new HandNode().receive(hello());
  const take = node.take()[0]!.bytes;
  const [one, two] = [new HandEpoch(take, C), new HandEpoch(take, counting(0xc1, 16))];
  node.receive(one.opening(payload('one')));
  const late = two.opening(payload('two'));
  node.receive(late);
  t.same(node.payloads(), ['one']);
  t.same(node.dropped(), { opening: 1 }, 'the epoch with another C');
  const again = new HandEpoch(take, C).opening(payload('again'));
  node.receive(again);
  t.same(node.payloads(), []);
  t.same(node.dropped(), { opening: 1, replayed: 1 });
  t.end();
});

t.test('an offer ends with its association, even if what opened it said END', (t) => {
  const node = new HandNode().receive(hello());
  const epoch = new HandEpoch(node.take()[0]!.bytes, C);
  const opening = epoch.opening(encodeEnd('closed'));
  t.same(node.receive(opening).kinds(), ['ended']);
  t.equal(node.machine.offers, 0);
  t.same(node.receive(opening).kinds(), [], 'a replay opens nothing');
  t.end();
});

t.test('a forged opening record leaves the offer to the client', (t) => {
  const node = new HandNode().receive(hello());
  const take = node.take()[0]!.bytes;
  const epoch = new HandEpoch(take, C);
  const forged = Buffer.from(epoch.opening(payload('x')));
  forged[forged.length - 1]! ^= 1;
  node.receive(forged, STRANGER);
  t.same(node.dropped(), { authentication: 1 });
  node.receive(epoch.opening(payload('mine')));
  t.same(node.payloads(), ['mine']);
  t.end();
});

t.test('after a few forged opening records the offer is another one', (t) => {
  const node = new HandNode().receive(hello());
  const take = node.take()[0]!.bytes;
  const epoch = new HandEpoch(take, C);
  for (let index = 0; index < 4; index += 1) {
    const forged = Buffer.from(epoch.opening(payload('long enough to be a trigger')));
    forged[forged.length - 1]! ^= 1;
    node.receive(forged, STRANGER);
  }
  t.same([node.machine.offers, node.dropped()], [0, { authentication: 4 }]);
  node.receive(epoch.opening(payload('long enough to be a trigger')));
  t.same(node.payloads(), []);
  const again = new HandEpoch(node.take()[0]!.bytes, C);
  t.not(again.id, epoch.id);
  node.receive(again.opening(payload('mine')));
  t.same(node.payloads(), ['mine']);
  t.end();
});

t.test('nobody gets an answer about an association that the cache does not have', (t) => {
  const node = new HandNode();
  node.records.clear();
  node.receive(hello());
  t.same([node.take(), node.dropped()], [[], { association: 1 }]);
  t.end();
});

t.test('an offer opens nothing after its association was deleted', (t) => {
  const node = new HandNode().receive(hello());
  const epoch = new HandEpoch(node.take()[0]!.bytes, C);
  node.records.clear();
  node.run(() => node.machine.handleDeleted(ID, node.now));
  t.equal(node.machine.offers, 0);
  node.receive(epoch.opening(payload('a late opening record')));
  t.same([node.events, node.dropped()], [[], { association: 1 }]);
  t.end();
});

t.test('nor if only the cache has lost it meanwhile', (t) => {
  const node = new HandNode().receive(hello());
  const epoch = new HandEpoch(node.take()[0]!.bytes, C);
  node.records.clear();
  node.receive(epoch.opening(payload('a late opening record')));
  t.same([node.events, node.dropped()], [[], { association: 1 }]);
  t.end();
});

t.test('at most 50 TAKEs a second for an association, and 8 offers', (t) => {
  const node = new HandNode();
  for (let index = 0; index < 200; index += 1) {
    node.receive(hello(), { address: '198.18.1.1', port: 1_000 + index });
  }
  t.equal(node.take().length, 50);
  t.equal(node.machine.offers, 8);
  t.equal(node.dropped()['takes'], 150);
  node.pass(100);
  for (let index = 0; index < 200; index += 1) node.receive(hello());
  t.equal(node.take().length, 5, 'a tenth of a second later, five more');
  t.end();
});

t.test('who takes offers up gets no more of them for that', (t) => {
  const node = new HandNode();
  let opened = 0;
  for (let index = 0; index < 100; index += 1) {
    const [take] = node.receive(hello()).take();
    if (!take) continue;
    opened += 1;
    node.receive(new HandEpoch(take.bytes, counting(index, 16)).opening(encodeProbe(TOKEN)));
    node.take();
  }
  t.equal(opened, 50);
  t.equal(node.dropped()['takes'], 50);
  node.pass(1_000);
  t.equal(node.receive(hello()).take().length > 0, true, 'a second later');
  t.end();
});

t.test('who is out of TAKEs costs no look into the cache', (t) => {
  const node = new HandNode();
  for (let index = 0; index < 60; index += 1) node.receive(hello());
  const { looks } = node;
  for (let index = 0; index < 100; index += 1) node.receive(hello());
  t.equal(node.looks, looks);
  t.end();
});

t.test('all offers together are bounded, and so is how often they are made', (t) => {
  const node = new HandNode();
  for (let index = 0; index < 70_000; index += 1) {
    const id = index.toString(16).padStart(16, '0');
    node.records.set(id, node.records.get(ID)!);
    const trigger = hello();
    trigger.write(id, 5, 'hex');
    if (index % 500 === 0) node.pass(101);
    node.receive(trigger);
  }
  t.ok(node.machine.offers <= 65_536);
  t.ok(node.machine.offers <= 5_000 * 6, `${node.machine.offers}: five seconds' worth`);
  node.pass(6_000);
  t.equal(node.machine.offers, 0);
  t.equal(node.machine.deadline, Infinity, 'and nothing is left to wait for');
  t.end();
});

t.test('an association has at most four epochs, and the one in use stays', (t) => {
  const node = new HandNode();
  const inUse = openEpoch(node, payload('in use'));
  const others = [1, 2, 3, 4, 5].map((index) => {
    node.pass(10);
    return openEpoch(node, encodeProbe(counting(index, 8)));
  });
  t.equal(node.machine.counters.epochs, 4);
  node.take();
  node.receive(inUse.seal(payload('still')));
  t.same(node.payloads(), ['in use', 'still']);
  node.receive(others[0]!.seal(encodeProbe(counting(1, 8), 25)));
  t.equal(node.machine.counters.takes, 7, 'an epoch that was dropped is unknown');
  t.end();
});

t.test('an epoch without valid records is dropped after a minute', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('once'));
  node.pass(59_990);
  t.equal(node.machine.counters.epochs, 1);
  node.receive(Buffer.concat([epoch.seal(payload('x')).subarray(0, 40), Buffer.alloc(30)]));
  node.pass(20);
  t.equal(node.machine.counters.epochs, 0);
  t.ok(node.kinds().includes('let go'));
  t.equal(node.machine.deadline, Infinity);
  t.end();
});

t.test('who stood still forgets its epochs and offers before it sends anything', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('before'));
  node.receive(hello(), STRANGER).take();
  node.events.length = 0;
  node.now += 3_001;
  node.receive(epoch.seal(payload('a payload that is long enough')));
  t.same(node.kinds(), ['let go']);
  t.same([node.machine.counters.epochs, node.machine.offers], [0, 1]);
  t.same(
    node.take().map(({ bytes }) => bytes[0]),
    [RecordType.takeOver],
    'only a TAKE',
  );
  t.end();
});

t.test('a TAKE that is sent back, and any noise, is dropped and counted', (t) => {
  const node = new HandNode().receive(hello());
  const take = node.take()[0]!.bytes;
  node.receive(take);
  t.same(node.dropped(), { authentication: 1 });
  const other = { epoch: EPOCH, nodeRandom: NODE_RANDOM };
  const forged = encodeTake(read(hello()), other, keysOf('aes-128-gcm', counting(0, 32)));
  node.receive(forged, STRANGER);
  const random = distinct();
  for (let size = 0; size < 300; size += 1) node.receive(Buffer.from(random(size)), STRANGER);
  t.equal(node.machine.size, 0);
  t.same(node.events, []);
  t.end();
});
