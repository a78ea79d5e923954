import t from 'tap';
import {
  type AssociationRecord,
  decodeAssociationRecord,
  drawAssociation,
  encodeAssociationRecord,
} from '../src/association-record.ts';
import { counting } from './fixture.ts';

const record: AssociationRecord = {
  secret: counting(0, 32),
  suite: 'chacha20-poly1305',
  replay: 'warn',
  lineage: counting(50, 16),
  user: 'żółw',
  clientPort: 50_000,
  outgoingPort: 40_001,
  graceMs: 60_000,
  owner: 'node-1',
  claims: 70_000,
  target: { host: '2001:db8::1', port: 5_060 },
};

t.test('a record is read as it was written', (t) => {
  t.same(decodeAssociationRecord(encodeAssociationRecord(record)), record);
  const least: AssociationRecord = {
    ...record,
    suite: 'aes-128-gcm',
    replay: 'drop',
    user: '',
    owner: '',
    target: undefined,
  };
  t.same(decodeAssociationRecord(encodeAssociationRecord(least)), least);
  const longest = { ...record, replay: 'end' as const, user: 'u'.repeat(255) };
  t.same(decodeAssociationRecord(encodeAssociationRecord(longest)), longest);
  t.end();
});

t.test('every truncation is no record, nor is one with more, or of another format', (t) => {
  const bytes = encodeAssociationRecord(record);
  for (let end = 0; end < bytes.length; end += 1) {
    if (decodeAssociationRecord(bytes.subarray(0, end))) t.fail(`cut at ${end}`);
  }
  t.equal(decodeAssociationRecord(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
  for (const at of [0, 1, 2]) {
    const changed = Uint8Array.from(bytes);
    changed[at] = 9;
    t.equal(decodeAssociationRecord(changed), undefined, `byte ${at}`);
  }
  t.end();
});

t.test('it keeps nothing of the bytes that it was read from', (t) => {
  const bytes = encodeAssociationRecord(record);
  const read = decodeAssociationRecord(bytes);
  bytes.fill(0);
  t.same(read, record);
  t.end();
});

t.test('what no record can hold is refused', (t) => {
  t.throws(
    () => encodeAssociationRecord({ ...record, user: 'ü'.repeat(128) }),
    /256 bytes, at most/,
  );
  t.throws(() => encodeAssociationRecord({ ...record, secret: counting(0, 31) }), /32 bytes/);
  t.throws(() => encodeAssociationRecord({ ...record, lineage: counting(0, 15) }), /16/);
  t.throws(() => encodeAssociationRecord({ ...record, clientPort: 65_536 }), RangeError);
  t.end();
});

t.test('a new association has an id of 8 bytes and a secret of 32', (t) => {
  const { id, secret } = drawAssociation((sizeBytes) => counting(1, sizeBytes));
  t.equal(id, '0102030405060708');
  t.same(Buffer.from(secret), counting(1, 32));
  t.end();
});
