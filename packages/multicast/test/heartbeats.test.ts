import type { Endpoint, Output } from '@argyle/host';
import t from 'tap';
import { Counters } from '../src/counters.ts';
import { ExpectedEndpoints } from '../src/expected-endpoints.ts';
import type { Entry } from '../src/heartbeat.ts';
import { Heartbeats } from '../src/heartbeats.ts';
import { Keyring } from '../src/keyring.ts';
import { Membership } from '../src/membership.ts';
import type { GroupOptions, Transport } from '../src/options.ts';
import { Transmitter } from '../src/transmitter.ts';

const OWN = { address: '198.18.0.9', port: 9 };
const HEARD = { multicast: true, unicast: true, wantsUnicast: false };
const CLUSTER_KEY = new Uint8Array(32).fill(1);

class Scene {
  readonly expected = new ExpectedEndpoints();
  readonly membership = new Membership({ own: 'ff'.repeat(16), name: 'own', startedAt: 0 });
  readonly heartbeats: Heartbeats;
  readonly #transmitter: Transmitter;

  constructor(transport: Transport = 'auto') {
    const keyring = new Keyring(CLUSTER_KEY);
    keyring.adopt(new Uint8Array(16).fill(2));
    const options: GroupOptions = {
      ...{ name: 'own', clusterKey: CLUSTER_KEY, members: [], segmentBytes: 1_400, transport },
      random: (sizeBytes) => new Uint8Array(sizeBytes).fill(128),
      note: () => new Uint8Array(0),
    };
    this.#transmitter = new Transmitter(keyring, new Counters(), transport);
    this.heartbeats = new Heartbeats(options, this.expected, this.#transmitter);
  }

  /** Peers at those ports, each heard by multicast just now, and hearing us so. */
  know(state: 'heard' | 'member', from: number, to: number, now = 0, expected = false) {
    return Array.from({ length: to - from }, (_, index) => {
      const port = from + index;
      const incarnation = Buffer.alloc(16, port).toString('hex');
      const segment = { kind: 3, incarnation, packet: 1, body: Buffer.alloc(0) };
      const peer = this.membership.hear(segment, at(port), () => expected, now);
      if (typeof peer === 'string') throw new Error(peer);
      peer.hearing.handle('group', now);
      peer.hearsUs = HEARD;
      const us: Entry = {
        ...{ incarnation: this.membership.own, state, heard: HEARD },
        ...{ joinedAt: 0, received: 0, applied: 0 },
      };
      peer.beat = {
        ...{ name: `${port}`, note: new Uint8Array(0), own: at(port), uptimeMs: 0, wallMs: 0 },
        ...{ highest: 0, oldest: 1, roundMs: 5, listens: false, keys: [] },
        ...{ viewSize: 1, leastOfView: incarnation, entries: state === 'member' ? [us] : [] },
      };
      this.membership.handleHeartbeat(peer, peer.beat, now);
      return peer;
    });
  }

  /** Where the heartbeat of that time goes: `all`, and ports. */
  send(now: number): string {
    const { membership } = this;
    const stream = { highest: 0, oldest: 1, roundMs: 5, orphans: [] };
    this.heartbeats.send({ membership, startedAt: 0, offsetMs: 0, ...stream, keys: [] }, OWN, now);
    const ways: string[] = [];
    for (let out: Output | undefined; (out = this.#transmitter.poll());) {
      ways.push(out.kind === 'unicast' ? `${out.to.port}` : 'all');
    }
    return ways.join(' ');
  }
}

function at(port: number): Endpoint {
  return { address: '198.18.0.1', port };
}

t.test('they leave every 250 ms, and soon after a change, 15 ms apart', (t) => {
  const { heartbeats } = new Scene();
  t.equal(heartbeats.deadline, Infinity);
  const scene = new Scene();
  scene.heartbeats.begin(1_000);
  t.equal(scene.heartbeats.deadline, 1_000);
  scene.send(1_000);
  t.equal(scene.heartbeats.deadline, 1_250);
  scene.heartbeats.soon(1_001);
  t.equal(scene.heartbeats.deadline, 1_015);
  scene.heartbeats.stop();
  t.equal(scene.heartbeats.deadline, Infinity);
  t.end();
});

t.test('in a large group a heartbeat goes to four members by unicast, each in its turn', (t) => {
  const scene = new Scene();
  scene.know('member', 1, 128);
  const ways = Array.from({ length: 32 }, (_, round) => scene.send(round).split(' ').slice(1));
  t.ok(ways.every((ports) => ports.length <= 4));
  t.equal(new Set(ways.flat()).size, 127);
  t.end();
});

t.test('one of eight goes to each member by unicast too', (t) => {
  const scene = new Scene();
  scene.know('member', 1, 11);
  const ways = Array.from({ length: 8 }, (_, round) => scene.send(round));
  t.same(
    ways.map((way) => way.split(' ')[0]),
    Array(8).fill('all'),
  );
  const ports = ways.flatMap((way) => way.split(' ').slice(1)).map(Number);
  t.same(
    ports.sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  t.end();
});

t.test('all go by unicast too where either does not hear the other by multicast', (t) => {
  const scene = new Scene();
  const [one, two] = scene.know('member', 1, 3);
  one!.hearsUs = { ...one!.hearsUs, multicast: false };
  for (const peer of [two]) peer!.hearing.handle('group', 700);
  scene.know('member', 3, 4, 700);
  for (let now = 700; now < 900; now += 20) t.match(scene.send(now), /^all 1\b/);
  scene.membership.peer(two!.incarnation)?.hearing.handle('own', 1_600);
  t.match(scene.send(1_600), /^all 1 2 3$/);
  t.end();
});

t.test(
  'of many strangers sixteen get an answer, those expected first, five times a second',
  (t) => {
    const scene = new Scene();
    const strangers = [...scene.know('heard', 100, 130), ...scene.know('heard', 7, 8, 0, true)];
    for (const peer of strangers) peer.hearsUs = { ...peer.hearsUs, multicast: false };
    t.match(scene.send(0), /^all 7( \d+){15}$/);
    t.match(scene.send(15), /^all( \d+){15}$/, 'the others');
    t.equal(scene.send(30), 'all');
    t.match(scene.send(200), /^all 7( \d+){15}$/);
    t.end();
  },
);

t.test('who is greeted gets them until it is known', (t) => {
  const scene = new Scene();
  for (const port of [1, 2]) scene.expected.greet(at(port), 1_000);
  scene.expected.greet(OWN, 1_000);
  t.equal(scene.send(0), 'all 1 2');
  scene.know('member', 1, 2);
  t.equal(scene.send(20), 'all 2');
  t.equal(scene.send(1_001), 'all 2 1', 'for the last time; and the other is not heard any more');
  t.end();
});

t.test('a way that is forced is the only one, but for greetings', (t) => {
  const unicast = new Scene('unicast');
  for (const peer of unicast.know('member', 1, 3))
    peer.hearsUs = { ...peer.hearsUs, multicast: false };
  t.equal(unicast.send(0), '1 2');
  const multicast = new Scene('multicast');
  multicast.know('member', 1, 3);
  multicast.expected.greet(at(7), 1_000);
  t.equal(multicast.send(2_000), 'all 7');
  t.end();
});
