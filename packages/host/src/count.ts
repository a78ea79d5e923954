/**
 * No sequence, packet number or time that an honest sender sends is as great (a packet each
 * microsecond for nine years), and sums of what is less stay exact.
 */
const COUNT_LIMIT_HIGH = 0x1_0000;

/** Sequences, packet numbers and times: 64 bits on the wire, below 2^48 in practice. */
export function writeCount(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset);
  bytes.writeUInt32BE(value % 0x1_0000_0000, offset + 4);
}

/** Infinity from 2^48 on, which no honest sender sends. */
export function readCount(bytes: Buffer, offset: number): number {
  const high = bytes.readUInt32BE(offset);
  return high >= COUNT_LIMIT_HIGH
    ? Infinity
    : high * 0x1_0000_0000 + bytes.readUInt32BE(offset + 4);
}
