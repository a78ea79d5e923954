/**
 * The body of a HEARTBEAT: who the sender is, where its stream stands, and whom it hears
 * (PROTOCOL.md, "Heartbeat"). An entry that names the receiver's incarnation proves that the sender
 * was alive after the receiver started.
 *
 * +---------------+---------------+-------------------------------+
 * | name len (8)  | note len (8)  |         own port (16)         |
 * +---------------+---------------+-------------------------------+
 * |                    own address, IPv4 (32)                     |
 * +---------------------------------------------------------------+
 * |                      uptime, ms (64)                          |
 * +---------------------------------------------------------------+
 * |                      wall clock, ms (64)                      |
 * +---------------------------------------------------------------+
 * |                      highest sequence (64)                    |
 * +---------------------------------------------------------------+
 * |                   oldest sequence kept (64)                   |
 * +-------------------------------+-------------------------------+
 * |        view size (16)         |         entries (16)          |
 * +-------------------------------+---------------+---------------+
 * |    round trip, 0.1 ms (16)    |   flags (8)   |    keys (8)   |
 * +-------------------------------+---------------+---------------+
 * |          least incarnation of the view (128)                  |
 * +---------------------------------------------------------------+
 * |  name, note, entries: { incarnation (128), state (4), heard (4),
 * |     joined at (64), received (64), applied (64) } ...
 * +---------------------------------------------------------------+
 * |  keys: { key id (32) } ...
 * +---------------------------------------------------------------+
 */
import type { Endpoint } from '@argyle/host';
import { readCount, writeCount } from '@argyle/host';
import type { Heard } from './hearing.ts';
import { CLUSTER_KEYS_MAX } from './cluster-keys.ts';
import { INCARNATION_BYTES, KEY_ID_BYTES } from './segment.ts';

const FIXED_BYTES = 48 + INCARNATION_BYTES;
export const ENTRY_BYTES = INCARNATION_BYTES + 25;
export const NAME_BYTES_MAX = 64;
export const NOTE_BYTES_MAX = 64;

/** What the sender of a heartbeat holds of the one it names. Only append. */
export const EntryState = { heard: 0, member: 1, excluded: 2, nameInUse: 3 } as const;
export type EntryStateName = keyof typeof EntryState;
const STATES: readonly EntryStateName[] = ['heard', 'member', 'excluded', 'nameInUse'];

export interface Entry {
  /** Hexadecimal, as everywhere outside the codec. */
  readonly incarnation: string;
  readonly state: EntryStateName;
  /** For a member: it must acknowledge what the sender's stream holds after this sequence. */
  readonly joinedAt: number;
  /** Positions of the named member's stream at the sender. */
  readonly received: number;
  readonly applied: number;
  /** How the sender hears the named one. */
  readonly heard: Heard;
}

/** The sender acknowledges nothing: it asks for what it misses. */
const LISTENS = 1;
const ROUND_UNIT_MS = 0.1;

const HeardFlag = { multicast: 1, unicast: 2, wantsUnicast: 4 } as const;

export interface Heartbeat {
  readonly name: string;
  readonly note: Uint8Array;
  /** Where unicast and links reach the sender; sealed, so nobody else can say where it is. */
  readonly own: Endpoint;
  readonly uptimeMs: number;
  readonly wallMs: number;
  readonly highest: number;
  /** Of its stream: what came before is sent again no more. */
  readonly oldest: number;
  /** What the sender takes for the round trip to those who acknowledge. */
  readonly roundMs: number;
  /** It belongs to the second tier. */
  readonly listens: boolean;
  readonly viewSize: number;
  readonly leastOfView: string;
  readonly entries: readonly Entry[];
  /** Ids of the keys in the sender's ring, the one that seals first. Hexadecimal. */
  readonly keys: readonly string[];
}

/** Bytes of a heartbeat without entries. */
export function heartbeatBytes(name: string, note: Uint8Array, keys: readonly string[]): number {
  return FIXED_BYTES + Buffer.byteLength(name) + note.length + keys.length * KEY_ID_BYTES;
}

export function encodeHeartbeat(beat: Heartbeat): Buffer {
  const name = Buffer.from(beat.name);
  const entriesAt = FIXED_BYTES + name.length + beat.note.length;
  const keysAt = entriesAt + beat.entries.length * ENTRY_BYTES;
  const body = Buffer.alloc(keysAt + beat.keys.length * KEY_ID_BYTES);
  body[0] = name.length;
  body[1] = beat.note.length;
  body.writeUInt16BE(beat.own.port, 2);
  beat.own.address.split('.').forEach((part, index) => body.writeUInt8(Number(part), 4 + index));
  writeCount(body, Math.max(0, Math.floor(beat.uptimeMs)), 8);
  writeCount(body, Math.max(0, Math.floor(beat.wallMs)), 16);
  writeCount(body, beat.highest, 24);
  writeCount(body, beat.oldest, 32);
  body.writeUInt16BE(beat.viewSize, 40);
  body.writeUInt16BE(beat.entries.length, 42);
  body.writeUInt16BE(Math.min(0xffff, Math.ceil(beat.roundMs / ROUND_UNIT_MS)), 44);
  body[46] = beat.listens ? LISTENS : 0;
  body[47] = beat.keys.length;
  body.write(beat.leastOfView, 48, 'hex');
  body.set(name, FIXED_BYTES);
  body.set(beat.note, FIXED_BYTES + name.length);
  beat.entries.forEach((entry, index) => {
    const at = entriesAt + index * ENTRY_BYTES;
    body.write(entry.incarnation, at, 'hex');
    body[at + INCARNATION_BYTES] = (EntryState[entry.state] << 4) | encodeHeard(entry.heard);
    writeCount(body, entry.joinedAt, at + INCARNATION_BYTES + 1);
    writeCount(body, entry.received, at + INCARNATION_BYTES + 9);
    writeCount(body, entry.applied, at + INCARNATION_BYTES + 17);
  });
  body.write(beat.keys.join(''), keysAt, 'hex');
  return body;
}

export function decodeHeartbeat(body: Buffer): Heartbeat | undefined {
  if (body.length < FIXED_BYTES) return undefined;
  const nameBytes = body[0] ?? 0;
  const noteBytes = body[1] ?? 0;
  const count = body.readUInt16BE(42);
  const entriesAt = FIXED_BYTES + nameBytes + noteBytes;
  if (nameBytes === 0 || nameBytes > NAME_BYTES_MAX || noteBytes > NOTE_BYTES_MAX) return undefined;
  const keysAt = entriesAt + count * ENTRY_BYTES;
  const keys = body[47] ?? 0;
  if (keys === 0 || keys > CLUSTER_KEYS_MAX) return undefined;
  if (body.length !== keysAt + keys * KEY_ID_BYTES) return undefined;
  const own = { address: body.subarray(4, 8).join('.'), port: body.readUInt16BE(2) };
  const uptimeMs = readCount(body, 8);
  const wallMs = readCount(body, 16);
  const highest = readCount(body, 24);
  const oldest = readCount(body, 32);
  if (own.port === 0 || uptimeMs + wallMs + highest + oldest === Infinity) return undefined;
  const entries: Entry[] = [];
  for (let at = entriesAt; at < keysAt; at += ENTRY_BYTES) {
    const entry = decodeEntry(body, at);
    if (entry) entries.push(entry);
  }
  return {
    name: body.toString('utf8', FIXED_BYTES, FIXED_BYTES + nameBytes),
    note: Uint8Array.from(body.subarray(FIXED_BYTES + nameBytes, entriesAt)),
    own,
    uptimeMs,
    wallMs,
    highest,
    oldest,
    roundMs: body.readUInt16BE(44) * ROUND_UNIT_MS,
    listens: ((body[46] ?? 0) & LISTENS) > 0,
    viewSize: body.readUInt16BE(40),
    leastOfView: body.toString('hex', 48, 48 + INCARNATION_BYTES),
    entries,
    keys: body.toString('hex', keysAt).match(/.{8}/g) ?? [],
  };
}

/** Undefined for a state of a later version, or positions that no stream has. */
function decodeEntry(body: Buffer, at: number): Entry | undefined {
  const stateAndHeard = body[at + INCARNATION_BYTES] ?? 0;
  const state = STATES[stateAndHeard >> 4];
  const joinedAt = readCount(body, at + INCARNATION_BYTES + 1);
  const received = readCount(body, at + INCARNATION_BYTES + 9);
  const applied = readCount(body, at + INCARNATION_BYTES + 17);
  if (!state || joinedAt + received + applied === Infinity) return undefined;
  const incarnation = body.toString('hex', at, at + INCARNATION_BYTES);
  return { incarnation, state, joinedAt, received, applied, heard: decodeHeard(stateAndHeard) };
}

function encodeHeard({ multicast, unicast, wantsUnicast }: Heard): number {
  return (
    (multicast ? HeardFlag.multicast : 0) |
    (unicast ? HeardFlag.unicast : 0) |
    (wantsUnicast ? HeardFlag.wantsUnicast : 0)
  );
}

function decodeHeard(flags: number): Heard {
  return {
    multicast: (flags & HeardFlag.multicast) > 0,
    unicast: (flags & HeardFlag.unicast) > 0,
    wantsUnicast: (flags & HeardFlag.wantsUnicast) > 0,
  };
}
