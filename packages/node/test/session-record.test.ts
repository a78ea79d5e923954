import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { decodeLoginRecord, encodeLoginRecord } from '../src/login-record.ts';
import { certificateEnd, certificateSubject, readSessionDer } from '../src/session-der.ts';
import { decodeSessionRecord, encodeSessionRecord } from '../src/session-record.ts';
import { Pki } from './pki.ts';

const SESSION = {
  lineage: new Uint8Array(16).fill(1),
  trust: new Uint8Array(16).fill(2),
  createdAt: 1_800_000_000_000,
  until: 1_800_003_600_000,
  boundAt: 1_800_086_400_000,
  der: Uint8Array.of(0x30, 0x01, 0x00),
};
const LOGIN = { user: 'ådå', credential: new Uint8Array(16).fill(3), standsIn: true };

function plain(record: object | undefined): unknown {
  return JSON.parse(JSON.stringify(record ?? null), (_key, value: unknown) => value);
}

t.test('a session record is read as it was written', (t) => {
  const bytes = encodeSessionRecord(SESSION);
  t.equal(bytes.length, 57 + SESSION.der.length);
  t.match(decodeSessionRecord(bytes), {
    createdAt: SESSION.createdAt,
    until: SESSION.until,
    boundAt: SESSION.boundAt,
  });
  t.strictSame(Uint8Array.from(decodeSessionRecord(bytes)?.der ?? []), SESSION.der);
  t.strictSame(Uint8Array.from(decodeSessionRecord(bytes)?.lineage ?? []), SESSION.lineage);
  t.end();
});

t.test('a login record is read as it was written', (t) => {
  for (const standsIn of [true, false]) {
    const read = decodeLoginRecord(encodeLoginRecord({ ...LOGIN, standsIn }));
    t.match(plain(read), plain({ ...LOGIN, standsIn, credential: Buffer.from(LOGIN.credential) }));
  }
  t.end();
});

t.test('a truncated record, or one of another format, is none', (t) => {
  for (const [bytes, decode, least] of [
    [encodeSessionRecord(SESSION), decodeSessionRecord, 58],
    [encodeLoginRecord(LOGIN), decodeLoginRecord, 18],
  ] as const) {
    for (let size = 0; size < least; size += 1) {
      t.equal(decode(bytes.subarray(0, size)), undefined);
    }
    const other = Uint8Array.from(bytes);
    other[0] = 9;
    t.equal(decode(other), undefined);
  }
  t.end();
});

t.test('what is no serialised session says nothing', (t) => {
  const version = [0x02, 0x01, 0x01, 0x02, 0x02, 0x03, 0x04];
  t.match(readSessionDer(Uint8Array.of(0x30, version.length, ...version)), {
    protocol: 'TLSv1.3',
    peerCertificate: undefined,
  });
  for (const bytes of [
    [],
    [0x30],
    [0x30, 0x80],
    [0x30, 0x85, 1, 1, 1, 1, 1],
    [0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
    [0x30, 0x03, 0x02, 0x01, 0x01],
    [0x30, 0x07, 0x02, 0x01, 0x01, 0x02, 0x02, 0x03, 0x01],
    [0x31, version.length, ...version],
  ]) {
    t.equal(readSessionDer(Uint8Array.from(bytes)), undefined);
  }
  t.end();
});

t.test('a certificate without an end that can be read has ended', (t) => {
  const { raw, validToDate } = new X509Certificate(new Pki().client('laptop').certificate);
  t.equal(certificateEnd(raw), validToDate.getTime());
  t.equal(certificateSubject(raw), 'CN=laptop, O=Argyle');
  const utcTime = Buffer.of(0x17, 13);
  const at = raw.indexOf(utcTime, raw.indexOf(utcTime) + 1) + utcTime.length;
  for (const end of ['XXXXXXXXXXXXX', '\0'.repeat(13), '491301000000Z', '500101000000Z']) {
    const changed = Buffer.from(raw);
    changed.write(end, at, 'latin1');
    // Often: what Node makes of no time varies with what it ran before.
    const ends = Array.from({ length: 3_000 }, () => certificateEnd(changed));
    t.same([...new Set(ends)], [0], JSON.stringify(end));
  }
  t.equal(certificateEnd(Buffer.from('no certificate')), 0);
  t.equal(certificateSubject(Buffer.from('no certificate')), undefined);
  t.end();
});
