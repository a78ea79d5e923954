import t from 'tap';
import { decodeData } from '../src/data.ts';
import { Keyring } from '../src/keyring.ts';
import { SegmentKind } from '../src/segment.ts';
import { type Member, SimulatedGroup } from './simulated-group.ts';

/** Repositories acknowledge, and listeners ask for what they miss. */
class Tiers {
  readonly group: SimulatedGroup;
  readonly repositories: Member[];
  readonly listeners: Member[];
  /** Segments by kind, once for each transmission. */
  readonly sent = new Map<number, number>();
  /** Data that does not reach those. */
  loses: (sequence: number, to: string) => boolean = () => false;
  readonly #keyring: Keyring;
  #sending: Uint8Array | undefined;

  constructor(repositories: number, listeners: number, seed = 3) {
    this.group = new SimulatedGroup({ seed });
    const start = (name: string, count: number, acknowledges: boolean) =>
      Array.from({ length: count }, (_, at) => this.group.start(`${name}-${at}`, { acknowledges }));
    this.repositories = start('repository', repositories, true);
    this.listeners = start('listener', listeners, false);
    const all = [...this.repositories, ...this.listeners];
    this.group.until(() => all.every(({ group }) => group.members.length === all.length - 1));
    this.group.simulator.run(500);
    this.#keyring = new Keyring(this.group.clusterKey);
    this.group.simulator.network.script = ({ bytes, from, to }) => {
      const kind = bytes[1] ?? 0;
      if (bytes !== this.#sending && from !== to) {
        this.#sending = bytes;
        this.sent.set(kind, (this.sent.get(kind) ?? 0) + 1);
      }
      if (kind !== SegmentKind.data || from === to) return false;
      const segment = this.#keyring.open(
        bytes,
        { address: from, port: 0 },
        this.group.simulator.now,
      );
      const data = typeof segment === 'string' ? undefined : decodeData(segment.body);
      return data !== undefined && this.loses(data.sequence, to);
    };
  }

  get sender(): Member {
    return this.repositories[0] ?? this.listeners[0]!;
  }

  count(kind: number): number {
    return this.sent.get(kind) ?? 0;
  }

  /** Each text is a segment of its own. */
  send(...texts: string[]): void {
    for (const text of texts) {
      this.group.send(this.sender, text);
      this.group.simulator.run(0.2);
    }
  }

  run(durationMs: number): void {
    this.group.simulator.run(durationMs);
  }

  get others(): Member[] {
    return [...this.repositories, ...this.listeners].filter((one) => one !== this.sender);
  }

  /** Requests of listeners that others' made unnecessary. */
  get suppressed(): number {
    const from = this.sender.group.incarnation;
    const cycles = this.listeners.flatMap(({ group }) =>
      group.members.filter(({ incarnation }) => incarnation === from).map(({ cycle }) => cycle),
    );
    return cycles.reduce((sum, { suppressed }) => sum + suppressed, 0);
  }
}

const once = (...sequences: number[]) => {
  const lost = new Set<string>();
  return (sequence: number, to: string) => {
    const first = sequences.includes(sequence) && to.startsWith('listener');
    if (!first || lost.has(`${sequence} ${to}`)) return false;
    lost.add(`${sequence} ${to}`);
    return true;
  };
};

t.test('one transmission serves both tiers: 1 + n packets for n who acknowledge', (t) => {
  for (const repositories of [1, 2, 4]) {
    const tiers = new Tiers(repositories + 1, 8);
    tiers.sent.clear();
    tiers.send('one');
    tiers.run(100);
    t.equal(tiers.count(SegmentKind.data), 1);
    t.equal(tiers.count(SegmentKind.acknowledgement), repositories);
    t.equal(tiers.count(SegmentKind.request), 0);
    for (const { messages } of tiers.others) t.same(messages, ['one']);
    t.same([...tiers.sender.ended.values()], ['replicated']);
  }
  t.end();
});

t.test('a write waits for who acknowledges, and not for a listener', (t) => {
  const tiers = new Tiers(2, 2);
  tiers.loses = (_, to) => to === 'listener-0';
  tiers.send('one');
  tiers.run(20);
  t.same([...tiers.sender.ended.values()], ['replicated']);
  t.same(tiers.listeners[0]?.messages, []);
  tiers.loses = (_, to) => to === 'repository-1';
  tiers.send('two');
  tiers.run(20);
  t.equal(tiers.sender.ended.size, 1);
  t.end();
});

t.test('among listeners alone a write has ended when it has left, and reaches them', (t) => {
  const tiers = new Tiers(0, 3);
  tiers.loses = once(2);
  tiers.send('one', 'two', 'three');
  tiers.run(60);
  t.same([...tiers.sender.ended.values()], ['replicated', 'replicated', 'replicated']);
  for (const { messages } of tiers.others) t.same(messages, ['one', 'two', 'three']);
  t.end();
});

t.test(
  'a loss that all listeners share is asked for by few, and repaired by one multicast',
  (t) => {
    const tiers = new Tiers(2, 24);
    tiers.loses = once(2);
    tiers.sent.clear();
    tiers.send('one', 'two', 'three');
    tiers.run(100);
    for (const { messages } of tiers.others) t.same(messages, ['one', 'two', 'three']);
    t.ok(tiers.count(SegmentKind.request) <= 6, `${tiers.count(SegmentKind.request)} requests`);
    t.ok(tiers.suppressed >= 18, `${tiers.suppressed} kept silent`);
    t.equal(tiers.count(SegmentKind.data), 4);
    t.end();
  },
);

t.test('the last segment is missed by what a heartbeat says, and asked for', (t) => {
  const tiers = new Tiers(2, 2);
  tiers.loses = once(1);
  tiers.send('last');
  tiers.run(600);
  for (const { messages } of tiers.listeners) t.same(messages, ['last']);
  t.end();
});

t.test('a request or a repair that is lost is made good', (t) => {
  const tiers = new Tiers(2, 1);
  let passages = 0;
  tiers.loses = (sequence, to) => sequence === 2 && to === 'listener-0' && (passages += 1) < 4;
  tiers.send('one', 'two', 'three');
  tiers.run(400);
  t.same(tiers.listeners[0]?.messages, ['one', 'two', 'three']);
  t.equal(passages, 4);
  t.end();
});

t.test(
  'who asks for too much is not listened to, goes on later, and is told of what it missed',
  (t) => {
    const tiers = new Tiers(2, 3);
    tiers.loses = (sequence, to) => to === 'listener-0' && sequence <= 400;
    const { outbound } = tiers.sender.group;
    for (let count = 0; count < 400; count += 1) tiers.send(`${count}`);
    tiers.run(200);
    t.ok(outbound.repairs <= 64 + 400 / 8, `${outbound.repairs} repairs`);
    tiers.loses = () => false;
    tiers.run(4_000);
    tiers.send('and on');
    tiers.run(300);
    const [bad, ...good] = tiers.listeners;
    for (const { messages } of [...good, ...tiers.others.slice(0, 1)])
      t.equal(messages.length, 401);
    t.equal(bad?.messages.at(-1), 'and on');
    t.ok(bad?.events.some(({ kind }) => kind === 'missed'));
    t.end();
  },
);

t.test(
  'nothing is kept for listeners for longer than 3 s, and nothing where there are none',
  (t) => {
    const tiers = new Tiers(2, 1);
    const { outbound } = tiers.sender.group;
    tiers.send('one', 'two');
    tiers.run(100);
    t.equal(outbound.oldest, 1);
    tiers.run(4_000);
    t.equal(outbound.oldest, 3);
    const alone = new Tiers(2, 0);
    alone.send('one', 'two');
    alone.run(100);
    t.equal(alone.sender.group.outbound.oldest, 3);
    t.end();
  },
);
