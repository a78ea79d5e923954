import t from 'tap';
import { Keyring } from '../src/keyring.ts';
import { HEADER_BYTES, SegmentKind } from '../src/segment.ts';

const CLUSTER_KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const incarnation = (fill: number) => new Uint8Array(16).fill(fill);
const FROM = { address: '198.18.0.1', port: 13_081 };
const body = Buffer.from('a session');

function keyring(fill: number, clusterKey = CLUSTER_KEY): Keyring {
  const ring = new Keyring(clusterKey);
  ring.adopt(incarnation(fill));
  return ring;
}

t.test('what one member seals another opens', (t) => {
  const opened = keyring(2).open(keyring(1).seal(SegmentKind.data, body), FROM, 0);
  t.same(opened, { kind: SegmentKind.data, incarnation: '01'.repeat(16), packet: 1, body });
  t.end();
});

t.test('a sealed segment is what it was, byte for byte', (t) => {
  const sealed = keyring(1).seal(SegmentKind.data, body);
  t.equal(
    sealed
      .toString('hex')
      .match(/.{1,16}/g)
      ?.join(' '),
    '0101000094a0baad 2b6275f56742f2de 0101010101010101 0101010101010101 0000000000000001 ' +
      '16febfc92c55200e 5b873766f1074aa0 d44f89781e3b2397 7b',
  );
  t.end();
});

t.test('every bit of a segment is authenticated', (t) => {
  const sealed = keyring(1).seal(SegmentKind.data, body);
  const receiver = keyring(2);
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const forged = Buffer.from(sealed);
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (typeof receiver.open(forged, FROM, bit * 1000) !== 'string') t.fail(`bit ${bit} was not`);
  }
  for (let end = 0; end < sealed.length; end += 1) {
    if (typeof receiver.open(sealed.subarray(0, end), FROM, 0) !== 'string')
      t.fail(`cut at ${end}`);
  }
  t.pass('all refused');
  t.end();
});

t.test('nothing of the body is in clear', (t) => {
  const sealed = keyring(1).seal(SegmentKind.data, body);
  t.equal(sealed.indexOf('session'), -1);
  t.equal(sealed.length, HEADER_BYTES + body.length + 16);
  t.end();
});

t.test('another cluster is told by its id, before any key is derived', (t) => {
  const receiver = keyring(2, new Uint8Array(32).fill(9));
  t.equal(receiver.open(keyring(1).seal(SegmentKind.data, body), FROM, 0), 'cluster');
  t.end();
});

t.test('packet numbers rise with every segment, and begin again with a new key only', (t) => {
  const sender = keyring(1);
  const receiver = keyring(2);
  const packetOf = () => {
    const opened = receiver.open(sender.seal(SegmentKind.heartbeat, body), FROM, 0);
    return typeof opened === 'string' ? opened : [opened.incarnation.slice(0, 2), opened.packet];
  };
  t.same(
    [packetOf(), packetOf()],
    [
      ['01', 1],
      ['01', 2],
    ],
  );
  sender.adopt(incarnation(3));
  t.same(packetOf(), ['03', 1]);
  t.end();
});

t.test('made-up incarnations cost at most 200 key derivations a second', (t) => {
  const receiver = keyring(2);
  const known = keyring(1);
  t.type(receiver.open(known.seal(SegmentKind.data, body), FROM, 0), 'object');
  const counts = { authentication: 0, derivations: 0 };
  for (let index = 0; index < 1_000; index += 1) {
    const noise = keyring(1).seal(SegmentKind.data, body);
    noise.writeUInt32BE(index, 16);
    const refusal = receiver.open(noise, FROM, 500 + index);
    if (refusal === 'authentication' || refusal === 'derivations') counts[refusal] += 1;
  }
  t.equal(counts.authentication + counts.derivations, 1_000);
  t.ok(counts.authentication <= 401, `${counts.authentication} derivations in 1 s after a pause`);
  t.type(receiver.open(known.seal(SegmentKind.data, body), FROM, 1_500), 'object', 'members go on');
  t.end();
});

t.test('a cluster key of another length is refused', (t) => {
  t.throws(() => new Keyring(new Uint8Array(31)), /32 bytes, not 31/);
  t.end();
});
