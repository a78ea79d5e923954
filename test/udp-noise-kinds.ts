import { encodeSocksDatagram } from '@argyle/secure-udp';
import type { Metrics } from './abuse/metrics.ts';
import type { FloodKind } from './flood.ts';
import { HEADER_BYTES, hello, TAKE_OVER, type WireRecord } from './wire-record.ts';

export interface NoiseKind extends FloodKind {
  /** By which of the reasons a node may count it. */
  readonly counted: readonly string[];
}

const ASSOCIATION: readonly [number, number] = [5, 13];
const EPOCH: readonly [number, number] = [13, 21];
const LENGTH_OFFSET = 3;
/** Below 2^28, and above what a client of these tests comes to. */
const SEQUENCE = 1n << 27n;
/** Too short to be answered. */
const SHORT_BYTES = 50;
/** Below 2^48, as the random one of a HELLO. */
const RANDOM_SEQUENCE: readonly [number, number] = [23, HEADER_BYTES];
const RANDOM = ['other', 'stranger', 'short', 'type', 'version', 'length'];
const TRIGGERED = ['answered', 'takes'];

/**
 * All that a stranger can send who has seen a record of an epoch that is in use at the node: each
 * datagram is one record at most.
 */
export function noiseKinds({ association, bytes }: WireRecord): NoiseKind[] {
  const tail: readonly [number, number] = [HEADER_BYTES, bytes.length];
  const known = hello(association, 1n);
  const short = Buffer.from(known.subarray(0, SHORT_BYTES));
  short.writeUInt16BE(SHORT_BYTES - 5, LENGTH_OFFSET);
  const far = Buffer.from(known).fill(0xff, 21, 23);
  const next = Buffer.from(bytes);
  next.writeBigUInt64BE(SEQUENCE, 21);
  const opening = Buffer.from(next);
  opening.writeUInt8(TAKE_OVER);
  const elsewhere = encodeSocksDatagram('127.0.0.1', 9, Buffer.from('of nobody'));
  const random = Buffer.alloc(1_200);
  return [
    { label: 'random', bytes: random, drawn: [0, random.length], cut: true, counted: RANDOM },
    { label: 'foreign', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n'), counted: ['other'] },
    { label: 'conventional', bytes: Buffer.from(elsewhere), counted: ['stranger'] },
    { label: 'truncated', bytes, cut: true, counted: ['short', 'length', 'other'] },
    { label: 'unknown-hello', bytes: known, drawn: ASSOCIATION, counted: ['association'] },
    { label: 'unknown-sealed', bytes, drawn: ASSOCIATION, counted: ['association'] },
    { label: 'hello', bytes: known, drawn: RANDOM_SEQUENCE, counted: TRIGGERED },
    { label: 'short-hello', bytes: short, drawn: RANDOM_SEQUENCE, counted: ['trigger'] },
    { label: 'far-hello', bytes: far, drawn: RANDOM_SEQUENCE, counted: ['trigger'] },
    { label: 'unknown-epoch', bytes, drawn: EPOCH, counted: TRIGGERED },
    { label: 'wrong-seal', bytes: next, drawn: tail, counted: ['authentication'] },
    { label: 'wrong-opening', bytes: opening, drawn: tail, counted: ['opening'] },
  ];
}

/** What a node has counted of all that, by reason. */
export function countedNoise(metrics: Metrics): Record<string, number> {
  return {
    ...metrics.by('udp_dropped_total'),
    answered: metrics.sum('udp_takes_total'),
    other: metrics.by('udp_arrived_total')['other'] ?? 0,
    stranger: metrics.by('udp_turned_away_total')['stranger'] ?? 0,
  };
}
