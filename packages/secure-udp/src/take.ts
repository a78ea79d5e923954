/**
 * The take-over (PROTOCOL.md, "Take-over"). A TAKE follows the record's header, in clear, with a
 * MAC under the association's `take` key over all before it:
 *
 * +---------------------------------------------------------------+
 * |     header (29): type 0x96, the new epoch, the trigger's      |
 * |                          sequence                             |
 * +---------------------------------------------------------------+
 * |                   epoch of the trigger (64)                   |
 * +---------------------------------------------------------------+
 * |                   R, the node's random (128)                  |
 * +---------------------------------------------------------------+
 * |                          MAC (128)                            |
 * +---------------------------------------------------------------+
 *
 * A HELLO is a header of type 0x96 with epoch 0 and a random sequence, and zeros up to the size of
 * a TAKE. An opening record has type 0x96 too, and C, the client's random (128), in clear after its
 * header.
 */
import { timingSafeEqual } from 'node:crypto';
import { type AssociationKeys, TAKE_MAC_BYTES } from './key-schedule.ts';
import {
  EPOCH_BYTES,
  EPOCH_OFFSET,
  HEADER_BYTES,
  NO_EPOCH,
  RANDOM_BYTES,
  RecordType,
  SEQUENCE_OFFSET,
  TYPE_OFFSET,
  type UdpRecord,
  writeHeader,
} from './record.ts';

const TRIGGER_EPOCH_OFFSET = HEADER_BYTES;
const NODE_RANDOM_OFFSET = TRIGGER_EPOCH_OFFSET + EPOCH_BYTES;
const MAC_OFFSET = NODE_RANDOM_OFFSET + RANDOM_BYTES;
export const TAKE_BYTES = MAC_OFFSET + TAKE_MAC_BYTES;
/** Header and C of an opening record. */
export const OPENING_BYTES = HEADER_BYTES + RANDOM_BYTES;
/** Of a HELLO's random sequence: what a count may have. */
const SEQUENCE_BYTES = 6;

export interface Take {
  /** The new epoch; both are hexadecimal. */
  readonly epoch: string;
  readonly triggerEpoch: string;
  readonly triggerSequence: number;
  readonly nodeRandom: Buffer;
}

/** `trigger` is any record of the association that may be answered: a HELLO, or a longer one. */
export function encodeTake(
  trigger: UdpRecord,
  offer: { readonly epoch: string; readonly nodeRandom: Uint8Array },
  keys: AssociationKeys,
): Buffer {
  const bytes = Buffer.allocUnsafe(TAKE_BYTES);
  writeHeader(bytes, {
    type: RecordType.takeOver,
    association: Buffer.from(trigger.association, 'hex'),
    epoch: Buffer.from(offer.epoch, 'hex'),
    sequence: trigger.sequence,
    sizeBytes: TAKE_BYTES,
  });
  bytes.write(trigger.epoch, TRIGGER_EPOCH_OFFSET, 'hex');
  bytes.set(offer.nodeRandom, NODE_RANDOM_OFFSET);
  keys.takeMac(bytes.subarray(0, MAC_OFFSET)).copy(bytes, MAC_OFFSET);
  return bytes;
}

/** Undefined unless a node that has the secret made it. */
export function openTake(
  { bytes, epoch, sequence }: UdpRecord,
  keys: AssociationKeys,
): Take | undefined {
  if (bytes.length !== TAKE_BYTES) return undefined;
  const mac = keys.takeMac(bytes.subarray(0, MAC_OFFSET));
  if (!timingSafeEqual(mac, bytes.subarray(MAC_OFFSET))) return undefined;
  return {
    epoch,
    triggerEpoch: bytes.toString('hex', TRIGGER_EPOCH_OFFSET, NODE_RANDOM_OFFSET),
    triggerSequence: sequence,
    nodeRandom: Buffer.from(bytes.subarray(NODE_RANDOM_OFFSET, MAC_OFFSET)),
  };
}

/** Whether a datagram of a client's begins with a HELLO. */
export function isHello(datagram: Uint8Array): boolean {
  if (datagram[TYPE_OFFSET] !== RecordType.takeOver) return false;
  return datagram.subarray(EPOCH_OFFSET, SEQUENCE_OFFSET).every((byte) => byte === 0);
}

export function encodeHello(
  association: string,
  random: (sizeBytes: number) => Uint8Array,
): Buffer {
  const bytes = Buffer.alloc(TAKE_BYTES);
  writeHeader(bytes, {
    type: RecordType.takeOver,
    association: Buffer.from(association, 'hex'),
    epoch: Buffer.from(NO_EPOCH, 'hex'),
    sequence: Buffer.from(random(SEQUENCE_BYTES)).readUIntBE(0, SEQUENCE_BYTES),
    sizeBytes: TAKE_BYTES,
  });
  return bytes;
}

/** C; undefined if the record is too short to have one. */
export function openingRandom({ bytes }: UdpRecord): Buffer | undefined {
  return bytes.length < OPENING_BYTES ? undefined : bytes.subarray(HEADER_BYTES, OPENING_BYTES);
}
