import { Packr } from 'msgpackr';
import t from 'tap';
import {
  decodeGroupMessage,
  decodeLinkMessage,
  encodeGroupMessage,
  encodeLinkMessage,
  type GroupMessage,
  type LinkMessage,
} from '../src/message.ts';

const version = (fill: number) => new Uint8Array(16).fill(fill, 8);
const record = {
  table: 3,
  key: Uint8Array.of(1, 2),
  value: Uint8Array.of(9),
  expiresAt: 1_900_000_000_000.5,
  version: version(7),
};
const tombstone = { ...record, value: undefined };
const digests = new Uint8Array(2048).fill(5);

const groupMessages: GroupMessage[] = [
  { kind: 'put', records: [record, { ...record, key: Uint8Array.of(8) }] },
  { kind: 'remove', record: tombstone },
  { kind: 'purge', epoch: version(1) },
];
const linkMessages: LinkMessage[] = [
  {
    kind: 'pull',
    id: 4,
    needs: [{ incarnation: 'ab'.repeat(16), sequence: 12 }],
    digests,
    epoch: version(0),
  },
  { kind: 'pull', id: 4, needs: undefined, digests, epoch: version(0) },
  { kind: 'records', id: 0, records: [record, tombstone] },
  { kind: 'done', id: 4, epoch: version(2), digests },
  { kind: 'refuse', id: 4, reason: 'busy' },
];

/** Buffers and typed arrays alike as hexadecimal, so that only the contents are compared. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

t.test('every message comes back as it was', (t) => {
  for (const message of groupMessages) {
    t.strictSame(plain(decodeGroupMessage(encodeGroupMessage(message))), plain(message));
  }
  for (const message of linkMessages) {
    t.strictSame(plain(decodeLinkMessage(encodeLinkMessage(message))), plain(message));
  }
  t.end();
});

t.test('a put is the same msgpack as the general codec writes, whatever its sizes', (t) => {
  const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false });
  const sizes = [0, 1, 0xff, 0x100, 0xffff, 0x1_0000];
  const records = sizes.map((size, at) => {
    const value = new Uint8Array(size).fill(at);
    return { ...record, table: [0, 127, 128, 255][at % 4] ?? 0, value };
  });
  for (const some of [...records.map((one) => [one]), records, []]) {
    const rows = some.map((one) => [one.table, one.key, one.value, one.expiresAt, one.version]);
    const bytes = encodeGroupMessage({ kind: 'put', records: some });
    t.ok(Buffer.from(bytes).equals(packr.pack([1, rows])));
    t.strictSame(plain(decodeGroupMessage(bytes)), plain({ kind: 'put', records: some }));
  }
  t.end();
});

t.test('a put in another shape of msgpack is read too, and refused for the same reasons', (t) => {
  const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false });
  const { table, key, value, version: of } = record;
  const read = (row: unknown[]) => plain(decodeGroupMessage(packr.pack([1, [row]])));
  const put = (expiresAt: number) => plain({ kind: 'put', records: [{ ...record, expiresAt }] });
  for (const at of [0, 5, 300, 70_000, 2 ** 33]) {
    t.strictSame(read([table, key, value, at, of]), put(at), `${at}`);
  }
  const many = Array.from({ length: 16 }, () => record);
  const whole = encodeGroupMessage({ kind: 'put', records: many });
  t.strictSame(plain(decodeGroupMessage(whole)), plain({ kind: 'put', records: many }));
  for (const at of [-1, -0.5, NaN]) t.equal(read([table, key, value, at, of]), undefined, `${at}`);
  t.equal(read([256, key, value, 1.5, of]), undefined);
  t.equal(read([table, key, null, 1.5, of]), undefined);
  t.equal(read([table, key, value, 1.5, of.subarray(1)]), undefined);
  t.equal(read([table, key, value, 1.5, new Uint8Array(16).fill(0xff)]), undefined);
  t.equal(read([table, key, value, 1.5, of, 0]), undefined);
  t.end();
});

t.test('every truncation is refused', (t) => {
  for (const message of groupMessages) {
    const bytes = encodeGroupMessage(message);
    for (let end = 0; end < bytes.length; end += 1) {
      t.equal(decodeGroupMessage(bytes.subarray(0, end)), undefined);
    }
  }
  for (const message of linkMessages) {
    const bytes = encodeLinkMessage(message);
    for (let end = 0; end < Math.min(bytes.length, 200); end += 1) {
      t.equal(decodeLinkMessage(bytes.subarray(0, end)), undefined);
    }
  }
  t.end();
});

t.test('mutations are refused or are another message, and never throw', (t) => {
  let seed = 1;
  const next = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const all = [...groupMessages.map(encodeGroupMessage), ...linkMessages.map(encodeLinkMessage)];
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Uint8Array.from(all[next(all.length)] ?? []);
    bytes[next(Math.min(bytes.length, 60))] = next(256);
    decodeGroupMessage(bytes);
    decodeLinkMessage(bytes);
  }
  t.pass('none threw');
  t.end();
});

t.test('a nest of arrays deeper than any message is refused', (t) => {
  const nest = new Uint8Array(1_000_000).fill(0x91);
  t.equal(decodeGroupMessage(nest), undefined);
  t.equal(decodeLinkMessage(nest), undefined);
  t.end();
});

t.test('records of wrong shape are refused', (t) => {
  const wrong = [
    { ...record, table: 256 },
    { ...record, key: new Uint8Array(256) },
    { ...record, expiresAt: Number.NaN },
    { ...record, expiresAt: -1 },
    { ...record, version: new Uint8Array(15) },
  ];
  for (const bad of wrong) {
    t.equal(decodeGroupMessage(encodeGroupMessage({ kind: 'put', records: [bad] })), undefined);
  }
  t.equal(decodeGroupMessage(encodeGroupMessage({ kind: 'put', records: [tombstone] })), undefined);
  t.equal(decodeGroupMessage(encodeGroupMessage({ kind: 'remove', record })), undefined);
  const many = Array.from({ length: 17 }, () => record);
  t.equal(decodeGroupMessage(encodeGroupMessage({ kind: 'put', records: many })), undefined);
  t.end();
});

t.test('a version of a time that no clock shows is refused', (t) => {
  const late = Buffer.from('ffffffffffff' + '00'.repeat(10), 'hex');
  t.equal(decodeGroupMessage(encodeGroupMessage({ kind: 'purge', epoch: late })), undefined);
  t.end();
});
