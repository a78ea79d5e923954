import t from 'tap';
import type { Entry, Heartbeat } from '../src/heartbeat.ts';
import { Membership } from '../src/membership.ts';

const OWN = 'ff'.repeat(16);
const PEER = '01'.repeat(16);
const AT = { address: '198.18.0.1', port: 1 };
const HEARD = { multicast: true, unicast: true, wantsUnicast: false };

/** A member whose heartbeats name so many of a view; the first one, at 0, names us. */
function follow({ viewSize, named }: { viewSize: number; named: number }) {
  const membership = new Membership({ own: OWN, name: 'own', startedAt: 0 });
  let packet = 0;
  const hear = (now: number) => {
    packet += 1;
    const segment = { kind: 3, incarnation: PEER, packet, body: Buffer.alloc(0) };
    const peer = membership.hear(segment, AT, () => false, now);
    if (typeof peer === 'string') throw new Error(peer);
    return peer;
  };
  const entries = Array.from({ length: named }, (_, index): Entry => {
    const incarnation = index === 0 ? OWN : Buffer.alloc(16, index + 1).toString('hex');
    const positions = { joinedAt: 0, received: 0, applied: 0 };
    return { incarnation, state: 'member', heard: HEARD, ...positions };
  });
  const beat: Heartbeat = {
    ...{ name: 'peer', note: new Uint8Array(0), own: AT, uptimeMs: 0, wallMs: 0, keys: [] },
    ...{ highest: 0, oldest: 1, roundMs: 5, listens: false, viewSize, leastOfView: PEER, entries },
  };
  membership.handleHeartbeat(hear(0), beat, 0);
  return { membership, hear };
}

t.test('who is heard, and has not named us for 3 s, is deaf', (t) => {
  const { membership, hear } = follow({ viewSize: 3, named: 2 });
  for (const now of [2_900, 3_000]) {
    hear(now);
    membership.expire(now);
    t.equal(membership.members.length, 1);
  }
  membership.expire(3_001);
  t.same(membership.members, []);
  t.match(membership.pollEvent(), { kind: 'admitted' });
  t.match(membership.pollEvent(), { kind: 'excluded', reason: 'deaf' });
  t.end();
});

t.test('whose view takes four heartbeats has four times as long', (t) => {
  const { membership, hear } = follow({ viewSize: 128, named: 32 });
  hear(12_000);
  membership.expire(12_000);
  t.equal(membership.members.length, 1);
  hear(12_001);
  membership.expire(12_001);
  t.same(membership.members, []);
  t.end();
});
