import { Packr } from 'msgpackr';
import { decodePut, encodePut } from './put-message.ts';
import { isVersion } from './version-clock.ts';

/**
 * What members tell each other, as msgpack arrays, one shape for each kind (PROTOCOL.md). Decoders
 * answer undefined for anything else: the bytes are authenticated, not trusted.
 */
const Kind = { put: 1, remove: 2, purge: 3, pull: 4, records: 5, done: 6, refuse: 7 } as const;

export const KEY_BYTES_MAX = 255;
export const BATCH_RECORDS_MAX = 16;
export const DIGESTS_BYTES = 2048;
const TRANSFER_RECORDS_MAX = 65_536;
const NEEDS_MAX = 1024;
const INCARNATION_HEX = /^[0-9a-f]{32}$/;

/** A record as it travels; a tombstone has no value. */
export interface TransferRecord {
  readonly table: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
  readonly expiresAt: number;
  readonly version: Uint8Array;
}

export type GroupMessage =
  | { readonly kind: 'put'; readonly records: readonly TransferRecord[] }
  | { readonly kind: 'remove'; readonly record: TransferRecord }
  | { readonly kind: 'purge'; readonly epoch: Uint8Array };

/** A member's stream, and how far into it the donor must have come. */
export interface Need {
  readonly incarnation: string;
  readonly sequence: number;
}

export type LinkMessage =
  /** Asks for all records in buckets whose digests differ. `needs` undefined: whatever is there. */
  | {
      readonly kind: 'pull';
      readonly id: number;
      readonly needs: readonly Need[] | undefined;
      readonly digests: Uint8Array;
      readonly epoch: Uint8Array;
    }
  /** `id` 0: not asked for; the sender holds them and thinks that the receiver does not. */
  | { readonly kind: 'records'; readonly id: number; readonly records: readonly TransferRecord[] }
  | {
      readonly kind: 'done';
      readonly id: number;
      readonly epoch: Uint8Array;
      readonly digests: Uint8Array;
    }
  | { readonly kind: 'refuse'; readonly id: number; readonly reason: string };

const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false });

export function encodeGroupMessage(message: GroupMessage): Uint8Array {
  if (message.kind === 'put') {
    const { records } = message;
    return encodePut(Kind.put, records) ?? pack([Kind.put, records.map(rowOf)]);
  }
  if (message.kind === 'remove') return pack([Kind.remove, rowOf(message.record)]);
  return pack([Kind.purge, message.epoch]);
}

export function decodeGroupMessage(bytes: Uint8Array): GroupMessage | undefined {
  const put = decodePut(Kind.put, bytes);
  if (put) return { kind: 'put', records: put };
  const body = unpack(bytes);
  if (body?.length !== 2) return undefined;
  const [kind, content] = body;
  if (kind === Kind.put) {
    const records = recordsOf(content, BATCH_RECORDS_MAX);
    return records?.every(({ value }) => value) ? { kind: 'put', records } : undefined;
  }
  if (kind === Kind.remove) {
    const record = recordOf(content);
    return record && !record.value ? { kind: 'remove', record } : undefined;
  }
  return kind === Kind.purge && isVersion(content) ? { kind: 'purge', epoch: content } : undefined;
}

export function encodeLinkMessage(message: LinkMessage): Uint8Array {
  const { kind, id } = message;
  if (kind === 'pull') {
    const needs = message.needs?.map(({ incarnation, sequence }) => [incarnation, sequence]);
    return pack([Kind.pull, id, needs ?? null, message.digests, message.epoch]);
  }
  if (kind === 'records') return pack([Kind.records, id, message.records.map(rowOf)]);
  if (kind === 'done') return pack([Kind.done, id, message.epoch, message.digests]);
  return pack([Kind.refuse, id, message.reason]);
}

export function decodeLinkMessage(bytes: Uint8Array): LinkMessage | undefined {
  const [kind, id, third, fourth, fifth, ...more] = unpack(bytes) ?? [];
  if (!isCount(id) || more.length > 0) return undefined;
  if (kind === Kind.pull) {
    const needs = third === null ? undefined : needsOf(third);
    if ((third !== null && !needs) || !isDigests(fourth) || !isVersion(fifth)) return undefined;
    return { kind: 'pull', id, needs, digests: fourth, epoch: fifth };
  }
  if (kind === Kind.records) {
    const records = recordsOf(third, TRANSFER_RECORDS_MAX);
    return records && { kind: 'records', id, records };
  }
  if (kind === Kind.done) {
    if (!isVersion(third) || !isDigests(fourth)) return undefined;
    return { kind: 'done', id, epoch: third, digests: fourth };
  }
  if (kind !== Kind.refuse || typeof third !== 'string') return undefined;
  return { kind: 'refuse', id, reason: third.slice(0, 200) };
}

function pack(body: readonly unknown[]): Uint8Array {
  return packr.pack(body);
}

function unpack(bytes: Uint8Array): unknown[] | undefined {
  try {
    const body: unknown = packr.unpack(bytes);
    return Array.isArray(body) ? body : undefined;
  } catch {
    return undefined;
  }
}

function rowOf(record: TransferRecord): unknown[] {
  const { table, key, value, expiresAt, version } = record;
  return [table, key, value ?? null, expiresAt, version];
}

function recordsOf(rows: unknown, limit: number): TransferRecord[] | undefined {
  if (!Array.isArray(rows) || rows.length > limit) return undefined;
  const records: TransferRecord[] = [];
  for (const row of rows) {
    const record = recordOf(row);
    if (!record) return undefined;
    records.push(record);
  }
  return records;
}

function recordOf(row: unknown): TransferRecord | undefined {
  if (!Array.isArray(row) || row.length !== 5) return undefined;
  const [table, key, value, expiresAt, version] = row as unknown[];
  if (!isCount(table) || table > 255 || !isBytes(key) || key.length > KEY_BYTES_MAX) {
    return undefined;
  }
  if (typeof expiresAt !== 'number' || !(expiresAt >= 0) || !isVersion(version)) return undefined;
  if (value !== null && !isBytes(value)) return undefined;
  return { table, key, value: value ?? undefined, expiresAt, version };
}

function needsOf(rows: unknown): Need[] | undefined {
  if (!Array.isArray(rows) || rows.length > NEEDS_MAX) return undefined;
  const needs: Need[] = [];
  for (const row of rows) {
    const [incarnation, sequence] = Array.isArray(row) ? (row as unknown[]) : [];
    if (typeof incarnation !== 'string' || !INCARNATION_HEX.test(incarnation)) return undefined;
    if (!isCount(sequence)) return undefined;
    needs.push({ incarnation, sequence });
  }
  return needs;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

function isDigests(value: unknown): value is Uint8Array {
  return isBytes(value) && value.length === DIGESTS_BYTES;
}
