import t from 'tap';
import { detectRecord } from '../src/record-detector.ts';
import { HEADER_BYTES, readRecord, RecordType, writeHeader } from '../src/record.ts';
import { EPOCH, ID } from './fixture.ts';

function record(fields: { sequence?: number; sizeBytes?: number; type?: number } = {}): Buffer {
  const { sequence = 7, sizeBytes = 50, type = RecordType.sealed } = fields;
  const bytes = Buffer.alloc(sizeBytes, 0xee);
  const names = { association: Buffer.from(ID, 'hex'), epoch: Buffer.from(EPOCH, 'hex') };
  writeHeader(bytes, { type, ...names, sequence, sizeBytes });
  return bytes;
}

t.test('a header is read as it was written', (t) => {
  for (const sequence of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1]) {
    const bytes = record({ sequence });
    t.same(readRecord(bytes, 0), {
      type: RecordType.sealed,
      association: ID,
      epoch: EPOCH,
      sequence,
      bytes,
    });
  }
  t.end();
});

t.test('a sequence that no honest sender reaches is told as infinite', (t) => {
  const bytes = record();
  bytes.writeUInt32BE(0x1_0000, 21);
  t.match(readRecord(bytes, 0), { sequence: Infinity });
  t.end();
});

t.test('records that share a datagram are found one after another', (t) => {
  const [first, second] = [record({ sizeBytes: 45 }), record({ sizeBytes: 60, sequence: 8 })];
  const datagram = Buffer.concat([first, second]);
  t.match(readRecord(datagram, 0), { sequence: 7, bytes: first });
  t.match(readRecord(datagram, first.length), { sequence: 8, bytes: second });
  t.end();
});

t.test('every truncation is refused, at every place of a datagram', (t) => {
  const bytes = record({ sizeBytes: 80 });
  for (let end = 0; end < bytes.length; end += 1) {
    const wanted = end < HEADER_BYTES ? 'short' : 'length';
    const padded = Buffer.concat([Buffer.alloc(3), bytes.subarray(0, end)]);
    if (readRecord(padded, 3) !== wanted) t.fail(`cut at ${end}`);
  }
  t.pass('all refused');
  t.end();
});

t.test('what is no record is told by what is wrong with it', (t) => {
  const wrong = (change: (bytes: Buffer) => void) => {
    const bytes = record();
    change(bytes);
    return readRecord(bytes, 0);
  };
  t.equal(
    wrong((bytes) => bytes.fill(0x17, 0, 1)),
    'type',
    'a TLS record without the UDP bit',
  );
  t.equal(
    wrong((bytes) => bytes.fill(0x95, 0, 1)),
    'type',
  );
  t.equal(
    wrong((bytes) => bytes.writeUInt16BE(0x0301, 1)),
    'version',
  );
  t.equal(
    wrong((bytes) => bytes.writeUInt16BE(46, 3)),
    'length',
    'longer than the datagram',
  );
  t.equal(
    wrong((bytes) => bytes.writeUInt16BE(23, 3)),
    'length',
    'shorter than its own header',
  );
  t.end();
});

t.test('the detector parts secure records from conventional datagrams', (t) => {
  t.equal(detectRecord(record()), 'secure');
  t.equal(detectRecord(record({ type: RecordType.takeOver })), 'secure');
  t.equal(detectRecord(Buffer.from('0000000108080808003568656c6c6f', 'hex')), 'conventional');
  t.equal(detectRecord(Buffer.from('000001', 'hex')), 'conventional', 'a fragment');
  t.equal(detectRecord(Buffer.from('1703030010', 'hex')), 'other', 'TLS');
  t.equal(detectRecord(Buffer.from('0001', 'hex')), 'other');
  t.equal(detectRecord(Buffer.from('00', 'hex')), 'other');
  t.equal(detectRecord(Buffer.alloc(0)), 'other');
  t.end();
});
