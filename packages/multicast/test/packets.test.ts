import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SegmentKind } from '../src/segment.ts';
import type { Transport } from '../src/options.ts';
import { type Member, OWN_PORT, SimulatedGroup } from './simulated-group.ts';

/**
 * What a write costs in packets, counted on the simulated wire, and written into PROTOCOL.md by
 * `ARGYLE_REWRITE_TABLES=1 node packages/multicast/test/packets.test.ts`. Heartbeats go on whether
 * or not anybody writes, and are left out; so are loop-back copies, which never reach the wire.
 */
const REWRITE = process.env['ARGYLE_REWRITE_TABLES'] === '1';
const SPECIFICATION = join(import.meta.dirname, '..', 'PROTOCOL.md');
const RECEIVERS = [1, 2, 4, 8];
const LISTENERS = 8;
const WRITES = 4_000;

interface Counted {
  readonly data: number;
  readonly acknowledgements: number;
}

/** A sender, those who hear it, and what crosses the wire. */
class Wire {
  readonly group = new SimulatedGroup({ seed: 9 });
  readonly sender: Member;
  readonly #counts = new Map<number, number>();
  #sending: Uint8Array | undefined;

  constructor(receivers: number, transport: Transport = 'auto', listeners = 0) {
    const count = receivers + 1 + listeners;
    const members = Array.from({ length: count }, (_, index) => {
      return { address: `198.18.0.${index + 1}`, port: OWN_PORT };
    });
    const all = members.map((_, index) => {
      const acknowledges = index <= receivers;
      return this.group.start(`member-${index}`, { transport, members, acknowledges });
    });
    this.group.until(() => all.every(({ group }) => group.members.length === count - 1));
    this.sender = all[0]!;
    this.group.simulator.run(1_000);
    this.group.simulator.network.script = ({ bytes, from, to }) => {
      // A multicast is the same bytes on its way to each receiver.
      if (from === to || bytes === this.#sending) return false;
      this.#sending = bytes;
      const kind = bytes[1] ?? 0;
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
      return false;
    };
  }

  /** What one write more costs, until it is replicated and nothing is owed any more. */
  single(): Counted {
    const before = this.#counted;
    const ticket = this.group.send(this.sender, 'r'.repeat(200));
    this.group.until(() => this.sender.ended.get(ticket) === 'replicated');
    this.group.simulator.run(100);
    return difference(this.#counted, before);
  }

  /** What so many cost of a sender that always has more to send. */
  loaded(recordBytes: number): Counted {
    const record = 'r'.repeat(recordBytes);
    const { outbound } = this.sender.group;
    const press = (writes: number) => {
      const until = this.sender.ended.size + writes;
      this.group.until(() => {
        while (outbound.queueBytes < 64 * 1_400) this.group.send(this.sender, record);
        return this.sender.ended.size >= until;
      }, 60_000);
    };
    press(WRITES / 4);
    const before = this.#counted;
    press(WRITES);
    return difference(this.#counted, before);
  }

  get #counted(): Counted {
    return {
      data: this.#counts.get(SegmentKind.data) ?? 0,
      // Of the second tier's kind too, should there be any.
      acknowledgements:
        (this.#counts.get(SegmentKind.acknowledgement) ?? 0) +
        (this.#counts.get(SegmentKind.request) ?? 0),
    };
  }
}

function difference(now: Counted, before: Counted): Counted {
  return {
    data: now.data - before.data,
    acknowledgements: now.acknowledgements - before.acknowledgements,
  };
}

const single = RECEIVERS.map((receivers) => new Wire(receivers).single());
const apart = RECEIVERS.map((receivers) => new Wire(receivers, 'unicast').single());
const listened = RECEIVERS.map((receivers) => new Wire(receivers, 'auto', LISTENERS).single());
const large = RECEIVERS.map((receivers) => new Wire(receivers).loaded(1_024));
const small = RECEIVERS.map((receivers) => new Wire(receivers).loaded(200));

t.test('a single write to N members is one packet out and one back from each', (t) => {
  RECEIVERS.forEach((receivers, index) => {
    t.same(single[index], { data: 1, acknowledgements: receivers });
  });
  t.end();
});

t.test('in unicast mode it is one packet to each and one back: 2N', (t) => {
  RECEIVERS.forEach((receivers, index) => {
    t.same(apart[index], { data: receivers, acknowledgements: receivers });
  });
  t.end();
});

t.test('listeners cost nothing: to n repositories it is 1 + n', (t) => {
  RECEIVERS.forEach((receivers, index) => {
    t.same(listened[index], { data: 1, acknowledgements: receivers });
  });
  t.end();
});

for (const [counted, what] of [
  [large, 'of 1 KB, one in a segment'],
  [small, 'of 200 B, that share segments'],
] as const) {
  t.test(`under load a write costs at most 1 + N/8 packets: ${what}`, (t) => {
    RECEIVERS.forEach((receivers, index) => {
      const packets = perWrite(counted[index]!, WRITES);
      t.ok(packets <= 1 + receivers / 8, `${packets} to ${receivers}`);
    });
    t.end();
  });
}

t.test('the table in PROTOCOL.md is what was counted', (t) => {
  const table = [
    '| receivers | single write | and 8 listeners | by unicast | under load, 1 KB | under load, 200 B | 1 + N/8 |',
    '| --------: | -----------: | --------------: | ---------: | ---------------: | ----------------: | ------: |',
    ...RECEIVERS.map((receivers, index) => {
      const cells = [
        [String(receivers), 9],
        [String(perWrite(single[index]!, 1)), 12],
        [String(perWrite(listened[index]!, 1)), 15],
        [String(perWrite(apart[index]!, 1)), 10],
        [perWrite(large[index]!, WRITES).toFixed(2), 16],
        [perWrite(small[index]!, WRITES).toFixed(2), 17],
        [(1 + receivers / 8).toFixed(3), 7],
      ] as const;
      return `| ${cells.map(([text, width]) => text.padStart(width)).join(' | ')} |`;
    }),
  ].join('\n');
  const text = readFileSync(SPECIFICATION, 'utf8');
  const [begin, end] = [
    '<!-- packets: written by test/packets.test.ts -->',
    '<!-- end of packets -->',
  ];
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  t.ok(from >= begin.length && to > from, 'the markers are there');
  const written = `${text.slice(0, from)}\n\n${table}\n\n${text.slice(to)}`;
  if (REWRITE) writeFileSync(SPECIFICATION, written);
  t.equal(written, readFileSync(SPECIFICATION, 'utf8'));
  t.end();
});

function perWrite({ data, acknowledgements }: Counted, writes: number): number {
  return (data + acknowledgements) / writes;
}
