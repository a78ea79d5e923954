import t from 'tap';
import { decodeAcknowledgement, encodeAcknowledgement } from '../src/acknowledgement.ts';
import { decodeData, encodeData } from '../src/data.ts';
import { decodeHeartbeat, encodeHeartbeat, type Heartbeat } from '../src/heartbeat.ts';
import { decodeRequest, encodeRequest } from '../src/request.ts';

const ALPHA = '0a'.repeat(16);
const BRAVO = '0b'.repeat(16);

const BY_BOTH = { multicast: true, unicast: true, wantsUnicast: false };
const UNICAST_WANTED = { multicast: false, unicast: false, wantsUnicast: true };

const beat: Heartbeat = {
  name: 'node-1',
  note: Uint8Array.of(2, 7),
  own: { address: '198.18.0.7', port: 13081 },
  uptimeMs: 5_000,
  wallMs: 1_900_000_000_123,
  highest: 2 ** 40,
  oldest: 3,
  roundMs: 1.5,
  listens: true,
  viewSize: 2,
  leastOfView: ALPHA,
  entries: [
    { incarnation: BRAVO, state: 'member', joinedAt: 3, received: 9, applied: 8, heard: BY_BOTH },
    {
      ...{ incarnation: ALPHA, state: 'nameInUse', joinedAt: 0, received: 0, applied: 0 },
      heard: UNICAST_WANTED,
    },
  ],
  keys: ['94a0baad', '2b6275f5'],
};

t.test('a heartbeat comes back as it was, and every truncation of it is refused', (t) => {
  const bytes = encodeHeartbeat(beat);
  t.same(decodeHeartbeat(bytes), beat);
  for (let end = 0; end < bytes.length; end += 1) {
    t.equal(decodeHeartbeat(bytes.subarray(0, end)), undefined, `${end} bytes`);
  }
  t.end();
});

t.test(
  'a heartbeat names a state that this version does not know: the entry is passed over',
  (t) => {
    const bytes = encodeHeartbeat(beat);
    bytes[bytes.length - 8 - 25] = 200;
    t.same(decodeHeartbeat(bytes)?.entries, beat.entries.slice(0, 1));
    t.end();
  },
);

t.test('a heartbeat names 1 to 4 keys', (t) => {
  for (const keys of [0, 5]) {
    const bytes = encodeHeartbeat({ ...beat, keys: Array(keys).fill('94a0baad') });
    t.equal(decodeHeartbeat(bytes), undefined, `${keys}`);
  }
  t.end();
});

t.test('a heartbeat that leads nowhere, or counts beyond all counting, is refused', (t) => {
  t.equal(decodeHeartbeat(encodeHeartbeat({ ...beat, own: { ...beat.own, port: 0 } })), undefined);
  for (const field of ['uptimeMs', 'wallMs', 'highest']) {
    t.equal(decodeHeartbeat(encodeHeartbeat({ ...beat, [field]: 2 ** 48 })), undefined, field);
  }
  const [entry] = beat.entries;
  for (const field of ['joinedAt', 'received', 'applied']) {
    const entries = [{ ...entry!, [field]: 2 ** 48 }];
    t.same(decodeHeartbeat(encodeHeartbeat({ ...beat, entries }))?.entries, [], field);
  }
  t.end();
});

t.test('data is laid out as the specification draws it', (t) => {
  const body = encodeData({
    sequence: 0x1_0000_0002,
    urgent: true,
    items: [
      { first: true, last: true, bytes: Uint8Array.of(0xaa) },
      { first: true, last: false, bytes: Uint8Array.of(0xbb, 0xcc) },
    ],
  });
  t.equal(body.toString('hex'), '00000001' + '00000002' + '01' + '030001aa' + '010002bbcc');
  t.end();
});

t.test('data names whose echo it wants before its items', (t) => {
  const items = [{ first: true, last: true, bytes: Buffer.of(0xaa) }];
  const data = { sequence: 3, urgent: false, echoOf: '0b'.repeat(8), items };
  const body = encodeData(data);
  t.equal(body.toString('hex'), `${'0'.repeat(15)}302${'0b'.repeat(8)}030001aa`);
  t.same(decodeData(body), data);
  for (let end = 0; end < body.length; end += 1) {
    t.equal(decodeData(body.subarray(0, end)), undefined, `${end} bytes`);
  }
  t.end();
});

t.test('data cut anywhere but between items, without items, or with sequence 0 is refused', (t) => {
  const items = [
    { first: true, last: true, bytes: Uint8Array.of(1, 2, 3) },
    { first: true, last: false, bytes: Uint8Array.of(4) },
  ];
  const body = encodeData({ sequence: 7, urgent: false, items });
  const afterFirst = body.length - 4;
  for (let end = 0; end < body.length; end += 1) {
    t.equal(decodeData(body.subarray(0, end)) !== undefined, end === afterFirst, `${end} bytes`);
  }
  t.equal(decodeData(encodeData({ sequence: 0, urgent: false, items })), undefined);
  const empty = [{ first: true, last: false, bytes: new Uint8Array(0) }];
  const endless = encodeData({ sequence: 7, urgent: false, items: empty });
  t.equal(decodeData(endless), undefined, 'a fragment of nothing');
  t.equal(decodeData(Buffer.from('ffffffffffffffff' + '00' + '030001aa', 'hex')), undefined);
  t.end();
});

t.test('an acknowledgement comes back as it was, and every truncation of it is refused', (t) => {
  const ack = {
    incarnation: ALPHA,
    received: 12,
    applied: 10,
    newest: 21,
    gaps: [
      { first: 13, count: 2 },
      { first: 20, count: 1 },
    ],
  };
  const bytes = encodeAcknowledgement(ack);
  t.same(decodeAcknowledgement(bytes), ack);
  for (let end = 0; end < bytes.length; end += 1) {
    t.equal(decodeAcknowledgement(bytes.subarray(0, end)), undefined, `${end} bytes`);
  }
  t.end();
});

t.test('a request survives encoding, and one that asks for nothing is none', (t) => {
  const gaps = [
    { first: 7, count: 1 },
    { first: 2 ** 40, count: 1024 },
  ];
  const request = { stream: ALPHA, asked: BRAVO, gaps };
  t.same(decodeRequest(encodeRequest(request)), request);
  t.equal(decodeRequest(encodeRequest({ ...request, gaps: [] })), undefined);
  const bytes = encodeRequest(request);
  for (let length = 0; length < bytes.length; length += 1) {
    t.equal(decodeRequest(bytes.subarray(0, length)), undefined, `${length} bytes`);
  }
  t.equal(decodeRequest(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
  t.end();
});
