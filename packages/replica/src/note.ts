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

export function decodeNote(bytes: Uint8Array | undefined): Note | undefined {
  if (bytes?.length !== NOTE_BYTES) return undefined;
  const state = STATES[bytes[0] ?? 0];
  return state && { state, digest: Buffer.from(bytes.subarray(1)).toString('hex') };
}
