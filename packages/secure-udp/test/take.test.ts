import t from 'tap';
import { readRecord, RecordType, type UdpRecord } from '../src/record.ts';
import { RecordSealer } from '../src/record-sealer.ts';
import { encodeHello, encodeTake, openingRandom, openTake, TAKE_BYTES } from '../src/take.ts';
import { ciphersOf, CLIENT_RANDOM, counting, EPOCH, ID, keysOf, NODE_RANDOM } from './fixture.ts';

function read(bytes: Buffer): UdpRecord {
  const record = readRecord(bytes, 0);
  if (typeof record === 'string') throw new Error(record);
  return record;
}

const hello = () => read(encodeHello(ID, (sizeBytes) => counting(9, sizeBytes)));
const take = () =>
  encodeTake(hello(), { epoch: EPOCH, nodeRandom: NODE_RANDOM }, keysOf('aes-128-gcm'));

t.test('a HELLO is as long as the TAKE that answers it, and has no epoch', (t) => {
  const { bytes, epoch, sequence, type } = hello();
  t.equal(bytes.length, TAKE_BYTES);
  t.equal(TAKE_BYTES, 69);
  t.same([type, epoch, sequence], [RecordType.takeOver, '0'.repeat(16), 0x090a0b0c0d0e]);
  t.end();
});

t.test('a TAKE names the record that it answers', (t) => {
  t.same(openTake(read(take()), keysOf('aes-128-gcm')), {
    epoch: EPOCH,
    triggerEpoch: '0'.repeat(16),
    triggerSequence: hello().sequence,
    nodeRandom: NODE_RANDOM,
  });
  t.end();
});

t.test('every bit of a TAKE is authenticated', (t) => {
  for (let bit = 0; bit < TAKE_BYTES * 8; bit += 1) {
    const forged = take();
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const record = readRecord(forged, 0);
    if (typeof record !== 'string' && openTake(record, keysOf('aes-128-gcm'))) t.fail(`bit ${bit}`);
  }
  t.equal(openTake(read(take()), keysOf('aes-128-gcm', counting(0, 32))), undefined);
  t.equal(openTake(hello(), keysOf('aes-128-gcm')), undefined, 'a HELLO is none');
  t.end();
});

t.test('an opening record carries C in clear and authenticated', (t) => {
  const { clientToNode } = ciphersOf('aes-128-gcm');
  const sealer = new RecordSealer({
    suite: 'aes-128-gcm',
    cipher: clientToNode,
    association: ID,
    epoch: EPOCH,
    clientRandom: CLIENT_RANDOM,
  });
  const opening = read(sealer.seal(Buffer.from('content'), 'opening')!);
  t.same(openingRandom(opening), CLIENT_RANDOM);
  t.same(clientToNode.open(opening.bytes, 45, opening.sequence)?.toString(), 'content');
  opening.bytes.writeUInt8(1, 40);
  t.equal(clientToNode.open(opening.bytes, 45, opening.sequence), undefined);
  const next = read(sealer.seal(Buffer.from('content'))!);
  t.same([next.type, next.sequence], [RecordType.sealed, 1]);
  t.equal(sealer.sizeBytes(7), next.bytes.length);
  t.end();
});
