import type { SelfState } from './status.ts';

/**
 * How a replica stands, in every heartbeat of its member.
 *
 * +---------------+-----------------------------------------------+
 * |   state (8)   |                 digest (64) ...
 * +---------------+-----------------------------------------------+
 */
const NOTE_BYTES = 9;
const STATES: readonly SelfState[] = ['joining', 'synchronising', 'ready'];

export interface Note {
  readonly state: SelfState;
  /** Hexadecimal. */
  readonly digest: string;
}

export function encodeNote(state: SelfState, digest: Uint8Array): Uint8Array {
  const note = Buffer.alloc(NOTE_BYTES);
  note[0] = STATES.indexOf(state);
  note.set(digest, 1);
  return note;
}

/** The state alone: looked at for every member, and often. */
export function stateOfNote(bytes: Uint8Array | undefined): SelfState | undefined {
  return bytes?.length === NOTE_BYTES ? STATES[bytes[0] ?? 0] : undefined;
}

export function decodeNote(bytes: Uint8Array | undefined): Note | undefined {
  const state = stateOfNote(bytes);
  if (!bytes || !state) return undefined;
  return { state, digest: Buffer.from(bytes.subarray(1)).toString('hex') };
}
