import t from 'tap';
import { encodeData } from '../src/content.ts';
import { type SuiteName, suiteName, SUITES } from '../src/suite.ts';
import { ciphersOf, counting, keysOf } from './fixture.ts';

const HEADER = counting(0x20, 29);
const NAMES = Object.keys(SUITES) as SuiteName[];

for (const name of NAMES) {
  const suite = SUITES[name];

  t.test(`${name}: what one side seals the other opens, of any size`, (t) => {
    const { clientToNode, nodeToClient } = ciphersOf(name);
    for (const size of [1, 2, 15, 16, 17, 31, 32, 33, 1_200, 65_000]) {
      const content = counting(size, size);
      const record = clientToNode.seal(HEADER, size, content);
      t.equal(record.length, suite.sizeBytes(HEADER.length, size), `${size} bytes`);
      t.ok(record.subarray(0, HEADER.length).equals(HEADER), 'the header is in clear');
      t.same(clientToNode.open(record, HEADER.length, size), content);
      t.equal(nodeToClient.open(record, HEADER.length, size), undefined, 'another direction');
    }
    t.end();
  });

  t.test(`${name}: every flipped bit and every truncation is refused`, (t) => {
    const { clientToNode } = ciphersOf(name);
    const record = clientToNode.seal(HEADER, 5, encodeData(counting(0, 40)));
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const forged = Buffer.from(record);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (clientToNode.open(forged, HEADER.length, 5)) t.fail(`bit ${bit}`);
    }
    for (let end = 0; end < record.length; end += 1) {
      if (clientToNode.open(record.subarray(0, end), HEADER.length, 5)) t.fail(`cut at ${end}`);
    }
    for (const longer of [1, 15, 16, 17]) {
      const forged = Buffer.concat([record, Buffer.alloc(longer)]);
      if (clientToNode.open(forged, HEADER.length, 5)) t.fail(`${longer} bytes more`);
    }
    t.same(clientToNode.open(record, HEADER.length, 5), encodeData(counting(0, 40)));
    t.end();
  });

  t.test(`${name}: a key of another epoch, random number or suite opens nothing`, (t) => {
    const content = encodeData(Buffer.from('payload'));
    const names = {
      epoch: counting(0, 8),
      nodeRandom: counting(1, 16),
      clientRandom: counting(2, 16),
    };
    const cipher = (changed: Partial<typeof names>, of: SuiteName = name) =>
      keysOf(of).epochCiphers({ ...names, ...changed }).clientToNode;
    const record = cipher({}).seal(HEADER, 0, content);
    t.same(cipher({}).open(record, HEADER.length, 0), content);
    t.notOk(cipher({ epoch: counting(9, 8) }).open(record, HEADER.length, 0));
    t.notOk(cipher({ nodeRandom: counting(9, 16) }).open(record, HEADER.length, 0));
    t.notOk(cipher({ clientRandom: counting(9, 16) }).open(record, HEADER.length, 0));
    for (const other of NAMES.filter((each) => each !== name)) {
      t.notOk(cipher({}, other).open(record, HEADER.length, 0), other);
    }
    t.end();
  });
}

t.test('the sequence is the nonce: the same content is another ciphertext', (t) => {
  for (const name of ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'] as const) {
    const { clientToNode } = ciphersOf(name);
    const records = [0, 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40].map((sequence) =>
      clientToNode.seal(HEADER, sequence, Buffer.from('the same')).toString('hex'),
    );
    t.equal(new Set(records).size, records.length, name);
    const first = clientToNode.seal(HEADER, 0, Buffer.from('the same'));
    t.equal(clientToNode.open(first, HEADER.length, 1), undefined, 'opened as another sequence');
  }
  t.end();
});

t.test('the IV of the block suite is random, and blocks are chained in the record only', (t) => {
  const random = [counting(1, 16), counting(2, 16)];
  const cipher = SUITES['aes-128-cbc-hmac-sha256'].cipher(counting(0, 48), () => random.shift()!);
  const content = Buffer.alloc(48, 7);
  const [first, second] = [cipher.seal(HEADER, 0, content), cipher.seal(HEADER, 1, content)];
  t.ok(first.subarray(29, 45).equals(counting(1, 16)), 'the IV is in the record');
  const blocks = [45, 61, 77].map((at) => first.toString('hex', at, at + 16));
  t.equal(new Set(blocks).size, 3, 'equal blocks do not look alike');
  t.not(first.toString('hex', 45, 61), second.toString('hex', 45, 61), 'nor equal records');
  t.same(cipher.open(second, 29, 1), content, 'each is opened without the other');
  t.end();
});

t.test('a suite has one number', (t) => {
  for (const name of NAMES) t.equal(suiteName(SUITES[name].number), name);
  t.equal(suiteName(0), undefined);
  t.equal(suiteName(5), undefined);
  t.end();
});
