import { until } from '../real-cluster.ts';
import type { AbusedProcess } from './abused-process.ts';
import type { Peer } from './peer.ts';

/** The two ends of a tunnel, and the node in the middle. */
export interface Ends {
  readonly app: Peer;
  readonly target: Peer;
  readonly node: AbusedProcess;
}

export interface Scenario {
  readonly title: string;
  /** Ends when both ends know that the tunnel is over. */
  readonly play: (ends: Ends) => Promise<void>;
  /**
   * How the node counts it. `quiet`: no byte that moves tells of the break, so whoever does not
   * look for it learns of it when the tunnel was idle for long enough.
   */
  readonly end: 'ended' | 'reset' | 'quiet';
}

type Side = 'app' | 'target';
const SIDES: readonly Side[] = ['app', 'target'];
const BOUND_MS = 20_000;
const BULK_BYTES = 4 * 1024 * 1024;
/** More than all buffers on the way hold. */
const FLOOD_BYTES = 64 * 1024 * 1024;
const PIECE = Buffer.alloc(64 * 1024, 'argyle');

const other = (side: Side): Side => (side === 'app' ? 'target' : 'app');

/** In every order: who ends, who breaks off, in which stage, and with what under way. */
export const SCENARIOS: readonly Scenario[] = SIDES.flatMap((first) => {
  const second = other(first);
  return [
    ...ends(first, second),
    ...breaks(first, second),
    ...breaksAfterAnEnd(first, second),
    ...jams(first, second),
  ];
});

/** Nobody breaks off: every byte arrives, and both ends. */
function ends(first: Side, second: Side): readonly Scenario[] {
  return [
    {
      title: `${first} ends, ${second} ends`,
      end: 'ended',
      async play(ends) {
        ends[first].stream.end();
        await ends[second].left();
        ends[second].stream.end();
        await ends[first].left();
        clean(ends);
      },
    },
    {
      title: `${first} ends, and gets all that ${second} still has to say`,
      end: 'ended',
      async play(ends) {
        ends[first].stream.end();
        await ends[second].left();
        await say(ends[second], BULK_BYTES);
        ends[second].stream.end();
        await ends[first].left();
        clean(ends);
        heard(ends[first], BULK_BYTES);
      },
    },
    {
      title: `${first} ends while ${second} sends and ends too`,
      end: 'ended',
      async play(ends) {
        const sent = say(ends[second], BULK_BYTES);
        ends[first].stream.end();
        await sent;
        ends[second].stream.end();
        await Promise.all([ends.app.left(), ends.target.left()]);
        clean(ends);
        heard(ends[first], BULK_BYTES);
      },
    },
  ];
}

function breaks(first: Side, second: Side): readonly Scenario[] {
  return [
    {
      title: `${first} breaks off in a quiet tunnel`,
      end: 'reset',
      async play(ends) {
        ends[first].reset();
        await broken(ends[second]);
      },
    },
    {
      title: `${first} breaks off while it sends`,
      end: 'reset',
      async play(ends) {
        void say(ends[first], FLOOD_BYTES).catch(() => undefined);
        await ends[second].heard();
        ends[first].reset();
        await broken(ends[second]);
      },
    },
    {
      title: `${first} breaks off while ${second} sends`,
      end: 'reset',
      async play(ends) {
        void say(ends[second], FLOOD_BYTES).catch(() => undefined);
        await ends[first].heard();
        ends[first].reset();
        await broken(ends[second]);
      },
    },
  ];
}

function breaksAfterAnEnd(first: Side, second: Side): readonly Scenario[] {
  return [
    {
      title: `${first} ends, then breaks off while ${second} sends`,
      end: 'reset',
      async play(ends) {
        ends[first].stream.end();
        await ends[second].left();
        void say(ends[second], FLOOD_BYTES).catch(() => undefined);
        await ends[first].heard();
        ends[first].reset();
        await broken(ends[second]);
      },
    },
    {
      title: `${first} ends, then ${second} breaks off`,
      end: 'reset',
      async play(ends) {
        ends[first].stream.end();
        await ends[second].left();
        ends[second].reset();
        await broken(ends[first]);
      },
    },
    {
      title: `${first} ends, then ${second} breaks off while it sends`,
      end: 'reset',
      async play(ends) {
        ends[first].stream.end();
        await ends[second].left();
        void say(ends[second], FLOOD_BYTES).catch(() => undefined);
        await ends[first].heard();
        ends[second].reset();
        await broken(ends[first]);
      },
    },
    {
      title: `${first} ends, and breaks off when all is quiet`,
      end: 'quiet',
      async play(ends) {
        ends[first].stream.end();
        await ends[second].left();
        ends[first].reset();
        await tunnelOver(ends.node);
      },
    },
  ];
}

/** One does not read, until all buffers on the way are full. */
function jams(first: Side, second: Side): readonly Scenario[] {
  return [
    {
      title: `${first} does not read, and breaks off when ${second} can send no more`,
      end: 'reset',
      async play(ends) {
        await jam(ends, second);
        ends[first].reset();
        await broken(ends[second]);
      },
    },
    {
      title: `${first} does not read; ${second} breaks off when it can send no more`,
      end: 'reset',
      async play(ends) {
        await jam(ends, second);
        ends[second].reset();
        ends[first].stream.resume();
        await broken(ends[first]);
      },
    },
    {
      title: `${first} does not read, ends, and breaks off when ${second} can send no more`,
      end: 'reset',
      async play(ends) {
        ends[first].stream.end();
        await jam(ends, second);
        ends[first].reset();
        await broken(ends[second]);
      },
    },
    {
      title: `${first} does not read; ${second} breaks off, and nobody does anything more`,
      end: 'quiet',
      async play(ends) {
        await jam(ends, second);
        ends[second].reset();
        await tunnelOver(ends.node);
      },
    },
  ];
}

/** Sends until the tunnel takes nothing more, to somebody who does not read. */
async function jam({ app, target, node }: Ends, sender: Side): Promise<void> {
  const [from, to] = sender === 'app' ? [app, target] : [target, app];
  to.stream.pause();
  void say(from, FLOOD_BYTES).catch(() => undefined);
  let last = -1;
  for (;;) {
    const now = (await node.metrics()).sum('tunnel_bytes_total') + from.raw.bytesWritten;
    if (now === last && from.stream.writableLength > 0) return;
    last = now;
  }
}

/** Ends when all was taken; rejects when it breaks. */
async function say(peer: Peer, sizeBytes: number): Promise<void> {
  for (let sent = 0; sent < sizeBytes; sent += PIECE.length) {
    if (peer.stream.destroyed) throw new Error('broken');
    if (!peer.stream.write(PIECE)) await peer.drained();
  }
}

function clean({ app, target }: Ends): void {
  for (const peer of [app, target]) {
    if (!peer.ended || peer.failure !== undefined) throw new Error(`not clean: ${peer.failure}`);
  }
}

function heard(peer: Peer, sizeBytes: number): void {
  if (peer.receivedBytes !== sizeBytes) throw new Error(`${peer.receivedBytes} of ${sizeBytes}`);
}

/** Who knows of the end already must see the break; to others TLS shows no more than an end. */
async function broken(peer: Peer): Promise<void> {
  const knew = peer.ended;
  await peer.until(() => peer.cut || (peer.ended && !knew), 'the break');
}

/** The node has nothing of it any more. */
export async function tunnelOver(node: AbusedProcess): Promise<void> {
  await until(
    'the tunnel is over',
    BOUND_MS,
    async () => (await node.metrics()).sum('tunnels') === 0,
  );
}
