import type { Output } from '@argyle/host';
import t from 'tap';
import { Counters } from '../src/counters.ts';
import { Keyring } from '../src/keyring.ts';
import type { Transport } from '../src/options.ts';
import { Peer } from '../src/peer.ts';
import { SegmentKind } from '../src/segment.ts';
import { Transmitter } from '../src/transmitter.ts';

const OWN = { address: '198.18.0.9', port: 9 };
const BODY = Buffer.from('body');

function transmitter(transport: Transport, { hearsItself = true } = {}) {
  const keyring = new Keyring(new Uint8Array(32).fill(1));
  keyring.adopt(new Uint8Array(16).fill(2));
  const counters = new Counters();
  const made = new Transmitter(keyring, counters, transport);
  made.own = OWN;
  made.hearsItself = hearsItself;
  return { made, counters };
}

function member(port: number, wantsUnicast = false): Peer {
  const peer = new Peer(`${port}`, { address: '198.18.0.1', port }, false, 0);
  peer.hearsUs = { multicast: !wantsUnicast, unicast: true, wantsUnicast };
  return peer;
}

/** Where each goes, in order, and how many different datagrams there are. */
function sent(made: Transmitter) {
  const ways: string[] = [];
  const datagrams = new Set<string>();
  for (let out: Output | undefined = made.poll(); out; out = made.poll()) {
    ways.push(out.kind === 'unicast' ? `${out.to.port}` : out.kind);
    if ('bytes' in out) datagrams.add(Buffer.from(out.bytes).toString('hex'));
  }
  return { ways: ways.join(' '), datagrams: datagrams.size };
}

t.test(
  'a segment goes once by multicast, and in the same bytes to whom that does not reach',
  (t) => {
    const { made, counters } = transmitter('auto');
    made.toAll(SegmentKind.data, BODY, [member(1), member(2), member(3, true)]);
    t.same(sent(made), { ways: 'multicast 3', datagrams: 1 });
    made.toAll(SegmentKind.data, BODY, [member(1), member(3, true)]);
    t.same(sent(made), { ways: 'multicast 3', datagrams: 1 }, 'for a single member too');
    t.equal(counters.sent.data, 4);
    t.end();
  },
);

t.test('where multicast reaches nobody, a copy goes back to the sender', (t) => {
  const { made, counters } = transmitter('auto');
  made.toAll(SegmentKind.data, BODY, [member(1, true), member(2, true)]);
  t.same(sent(made), { ways: '1 2 9', datagrams: 1 });
  t.equal(counters.sent.data, 2, 'which is not on the wire');
  t.end();
});

t.test('and so where own multicasts do not come back', (t) => {
  const { made } = transmitter('auto', { hearsItself: false });
  made.toAll(SegmentKind.data, BODY, [member(1)]);
  t.same(sent(made), { ways: 'multicast 9', datagrams: 1 });
  t.end();
});

t.test('a repair goes by multicast when two of those who want it are reached so', (t) => {
  const { made } = transmitter('auto');
  const cases: readonly [string, Peer[]][] = [
    ['1 9', [member(1)]],
    ['multicast', [member(1), member(2)]],
    ['1 3 9', [member(1), member(3, true)]],
    ['multicast 3', [member(1), member(2), member(3, true)]],
    ['3 4 9', [member(3, true), member(4, true)]],
  ];
  for (const [ways, wanting] of cases) {
    made.toSome(SegmentKind.data, BODY, wanting);
    t.same(sent(made), { ways, datagrams: 1 });
  }
  t.end();
});

t.test('a way that is forced is taken, whatever members ask for', (t) => {
  const multicast = transmitter('multicast').made;
  multicast.toAll(SegmentKind.data, BODY, [member(1), member(2, true)]);
  multicast.toEverybody(SegmentKind.leave, BODY, [member(2, true)]);
  t.equal(sent(multicast).ways, 'multicast multicast');
  const unicast = transmitter('unicast').made;
  unicast.toAll(SegmentKind.data, BODY, [member(1), member(2, true)]);
  unicast.toGroup(SegmentKind.heartbeat, BODY);
  unicast.toEverybody(SegmentKind.leave, BODY, [member(1), member(2)]);
  t.equal(sent(unicast).ways, '1 2 9 1 2');
  t.end();
});

t.test('a good-bye is heard by strangers too', (t) => {
  const { made } = transmitter('auto');
  made.toEverybody(SegmentKind.leave, BODY, [member(1, true)]);
  t.same(sent(made), { ways: 'multicast 1', datagrams: 1 });
  made.toEverybody(SegmentKind.leave, BODY, []);
  t.equal(sent(made).ways, 'multicast');
  t.end();
});
