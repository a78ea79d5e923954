import t from 'tap';
import {
  decodeAdoption,
  decodeControl,
  encodeControlPayload,
  encodeEnded,
  encodeGrant,
  encodeUdpRequest,
} from '../src/control.ts';

const ID = '0001020304050607';
const SECRET = Buffer.alloc(32, 0x40);
const PROOF = Buffer.alloc(32, 0xa0);

t.test('requests are what SOCKS5 asks for, and two of our own', async (t) => {
  const associate = encodeUdpRequest({ kind: 'associate' });
  t.equal(associate.toString('hex'), '050300' + '0100000000' + '0000');
  const one = encodeUdpRequest({ kind: 'associate with', host: '192.0.2.1', port: 53 });
  t.equal(one.toString('hex'), '058300' + '01c0000201' + '0035');
  const adopt = encodeUdpRequest({ kind: 'adopt', association: ID, proof: PROOF });
  t.equal(adopt.toString('hex'), '058400' + ID + 'a0'.repeat(32));
  t.same(decodeAdoption(adopt), { kind: 'adopt', association: ID, proof: PROOF });
});

t.test('an adoption that is cut short, too long or another request is none', async (t) => {
  const adopt = encodeUdpRequest({ kind: 'adopt', association: ID, proof: PROOF });
  for (let size = 0; size < adopt.length; size += 1) {
    t.equal(decodeAdoption(adopt.subarray(0, size)), undefined);
  }
  t.equal(decodeAdoption(Buffer.concat([adopt, Buffer.of(0)])), undefined);
  t.equal(decodeAdoption(encodeUdpRequest({ kind: 'associate' })), undefined);
});

t.test('what is said on a control connection is read', async (t) => {
  const grant = { id: ID, secret: SECRET, suite: 'chacha20-poly1305', graceMs: 60_000 } as const;
  t.same(decodeControl(encodeGrant(grant)), { kind: 'grant', grant });
  t.same(decodeControl(encodeEnded('deleted')), { kind: 'ended', reason: 'deleted' });
  const payload = Buffer.from('payload');
  t.same(decodeControl(encodeControlPayload(payload)), { kind: 'payload', payload });
});

t.test('what makes no sense on a control connection is nothing', async (t) => {
  const whole = encodeGrant({ id: ID, secret: SECRET, suite: 'aes-128-gcm', graceMs: 1 });
  for (let size = 0; size < whole.length; size += 1) {
    t.equal(decodeControl(whole.subarray(0, size)), undefined, `a grant of ${size} bytes`);
  }
  const suiteless = Buffer.from(whole);
  suiteless[41] = 9;
  t.equal(decodeControl(suiteless), undefined);
  for (const bytes of [[], [0], [3], [3, 0], [3, 9], [3, 1, 1], [4, 1]]) {
    t.equal(decodeControl(Buffer.from(bytes)), undefined, `[${String(bytes)}]`);
  }
});
