import t from 'tap';
import { type ClusterKeys, keyId, soleKey } from '../src/cluster-keys.ts';
import { Keyring } from '../src/keyring.ts';
import { HEADER_BYTES, SegmentKind, TAG_BYTES } from '../src/segment.ts';

const CLUSTER_KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const incarnation = (fill: number) => new Uint8Array(16).fill(fill);
const FROM = { address: '198.18.0.1', port: 13_081 };
const body = Buffer.from('a session');

function keyring(fill: number, clusterKey: Uint8Array | ClusterKeys = CLUSTER_KEY): Keyring {
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

t.test('an own segment comes back as it was sealed, whatever is forged in its name', (t) => {
  const own = keyring(1);
  const first = own.seal(SegmentKind.data, body);
  const second = own.seal(SegmentKind.heartbeat, body);
  const opened = { kind: SegmentKind.data, incarnation: '01'.repeat(16), packet: 1, body };
  for (let bit = 0; bit < (HEADER_BYTES + TAG_BYTES) * 8; bit += 1) {
    const forged = Buffer.from(first);
    const at = bit >> 3 < HEADER_BYTES ? bit >> 3 : forged.length - 1 - (bit >> 3) + HEADER_BYTES;
    forged[at] = (forged[at] ?? 0) ^ (1 << (bit & 7));
    if (typeof own.open(forged, FROM, bit * 1000) !== 'string') t.fail(`bit ${bit} was not`);
  }
  t.equal(own.open(first.subarray(0, -1), FROM, 0), 'authentication', 'cut');
  const swapped = Buffer.concat([first.subarray(0, -TAG_BYTES), second.subarray(-TAG_BYTES)]);
  t.equal(own.open(swapped, FROM, 0), 'authentication', 'the tag of another');
  const altered = Buffer.from(first).fill(0, HEADER_BYTES, first.length - TAG_BYTES);
  t.same(own.open(altered, FROM, 0), opened, 'no more than a replay: what was sealed counts');
  t.equal(own.open(altered, FROM, 0), 'authentication', 'once');
  t.same(own.open(first, FROM, 0), opened, 'opened as any other');
  t.same(own.open(second, FROM, 0), { ...opened, kind: SegmentKind.heartbeat, packet: 2 });
  t.end();
});

t.test('an own segment that comes back late, or to a new incarnation, is opened', (t) => {
  const own = keyring(1);
  const first = own.seal(SegmentKind.data, body);
  for (let packet = 2; packet <= 200; packet += 1) own.seal(SegmentKind.data, body);
  t.match(own.open(first, FROM, 0), { packet: 1, body });
  const last = own.seal(SegmentKind.data, body);
  own.adopt(incarnation(2));
  t.match(own.open(last, FROM, 0), { incarnation: '01'.repeat(16), packet: 201, body });
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

/** The ring that began with CLUSTER_KEY, at some step of a change. */
function ring(...keys: readonly Uint8Array[]): ClusterKeys {
  return { ...soleKey(CLUSTER_KEY), keys };
}

const OLD = CLUSTER_KEY;
const NEW = new Uint8Array(32).fill(77);
const STEPS = [ring(OLD), ring(OLD, NEW), ring(NEW, OLD), ring(NEW)];

t.test('members of which one is a step behind the other open what they send each other', (t) => {
  for (const [step, behind] of STEPS.slice(0, -1).entries()) {
    const [one, two] = [keyring(1, behind), keyring(2, STEPS[step + 1])];
    t.type(two.open(one.seal(SegmentKind.data, body), FROM, 0), 'object', `step ${step}, ahead`);
    t.type(one.open(two.seal(SegmentKind.data, body), FROM, 0), 'object', `step ${step}, behind`);
  }
  t.end();
});

t.test(
  'a member takes one step after another: packet numbers go on, and no key comes twice',
  (t) => {
    const [sender, receiver] = [keyring(1), keyring(2)];
    const sealed = STEPS.map((step) => {
      t.ok(receiver.take(step));
      t.ok(sender.take(step));
      const segment = sender.seal(SegmentKind.data, body);
      t.match(receiver.open(segment, FROM, 0), { incarnation: '01'.repeat(16) });
      return segment;
    });
    const ids = [OLD, OLD, NEW, NEW].map((key) => keyId(key));
    t.same(
      sealed.map((segment) => segment.toString('hex', 4, 8)),
      ids,
    );
    t.same(
      sealed.map((segment) => segment.readUInt32BE(36)),
      [1, 2, 3, 4],
    );
    t.equal(receiver.open(sealed[1]!, FROM, 0), 'key', 'of a removed key, not even recorded ones');
    t.end();
  },
);

t.test('own segments come back under the key that sealed them', (t) => {
  const own = keyring(1, ring(OLD, NEW));
  const before = own.seal(SegmentKind.data, body);
  own.take(ring(NEW, OLD));
  t.type(own.open(before, FROM, 0), 'object');
  t.type(own.open(own.seal(SegmentKind.data, body), FROM, 0), 'object');
  t.end();
});

t.test('who has none but a removed key is refused, either way', (t) => {
  const [left, stays] = [keyring(1, ring(OLD)), keyring(2, ring(NEW))];
  t.equal(stays.open(left.seal(SegmentKind.data, body), FROM, 0), 'key');
  t.equal(left.open(stays.seal(SegmentKind.data, body), FROM, 0), 'key');
  t.end();
});

t.test('a member that seals with another key of the ring costs strangers nothing', (t) => {
  const receiver = keyring(2, ring(OLD, NEW));
  const member = keyring(1, ring(OLD, NEW));
  t.type(receiver.open(member.seal(SegmentKind.data, body), FROM, 0), 'object');
  receiver.admit('01'.repeat(16));
  for (let noise = 0; noise < 1_000; noise += 1) {
    const forged = keyring(3, ring(OLD, NEW)).seal(SegmentKind.data, body);
    forged.writeUInt32BE(noise, 16);
    receiver.open(forged, FROM, 1);
  }
  t.equal(receiver.open(keyring(4).seal(SegmentKind.data, body), FROM, 1), 'derivations');
  member.take(ring(NEW, OLD));
  t.type(receiver.open(member.seal(SegmentKind.data, body), FROM, 1), 'object', 'held already');
  const third = new Uint8Array(32).fill(78);
  receiver.take(ring(NEW, third));
  member.take(ring(third));
  t.type(receiver.open(member.seal(SegmentKind.data, body), FROM, 1), 'object', 'a key added');
  t.end();
});

t.test('another cluster’s keys are not taken', (t) => {
  const own = keyring(1);
  t.equal(own.take(soleKey(NEW)), false);
  t.equal(own.take({ ...ring(NEW), digestKey: new Uint8Array(16) }), false);
  t.same(own.ids, [keyId(OLD)]);
  t.end();
});

t.test('each key of the ring has a link key under an identity that names it', (t) => {
  const identities = keyring(1, ring(NEW, OLD)).linkKeys.map(({ identity }) => identity);
  t.same(identities, [`argyle link 1 ${keyId(NEW)}`, `argyle link 1 ${keyId(OLD)}`]);
  const [promoted, opened] = keyring(1, ring(NEW, OLD)).linkKeys.map(({ key }) => key);
  t.same(keyring(2).linkKeys[0]?.key, opened);
  t.notSame(promoted, opened);
  t.end();
});

t.test('a ring has 1 to 4 keys', (t) => {
  t.throws(() => new Keyring(ring()), /1 to 4 keys, not 0/);
  t.throws(() => new Keyring(ring(OLD, OLD, OLD, OLD, OLD)), /1 to 4 keys, not 5/);
  t.end();
});

t.test('a cluster key of another length is refused', (t) => {
  t.throws(() => new Keyring(new Uint8Array(31)), /32 bytes, not 31/);
  t.end();
});
