/**
 * How a client asks a node for an association over TLS, and what both say on its control
 * connection (PROTOCOL.md, "Control connection"). Requests travel where SOCKS5 requests do.
 *
 * ```
 * +-----+-------------+------+------------------------------------------
 * | VER | CMD         | RSV  |
 * |  5  |             |  0   |
 * +-----+-------------+------+------------------------------------------
 * |     | X'03'       |      | ATYP, DST.ADDR, DST.PORT (RFC 1928 §4): a new association
 * |     | X'83'       |      | the same: a new one that has no target but this
 * |     | X'84'       |      | id (8), proof (32): adopts one
 * +-----+-------------+------+------------------------------------------
 * ```
 * After a success each frame begins with a byte that says what it is:
 *
 * ```
 * +---------------+-----------------------------------------------------------------+
 * | GRANT = 1     | id (8), secret (32), suite (1), grace (4, ms); first, once      |
 * +---------------+-----------------------------------------------------------------+
 * | PAYLOAD = 2   | as in DATA: where datagrams do not pass                         |
 * +---------------+-----------------------------------------------------------------+
 * | ENDED = 3     | reason (1), as in END; node to client                           |
 * +---------------+-----------------------------------------------------------------+
 * ```
 */
import { type EndReason, endReason, endReasonNumber } from './content.ts';
import { SECRET_BYTES } from './key-schedule.ts';
import { ASSOCIATION_BYTES } from './record.ts';
import { encodeHost } from './socks-datagram.ts';
import { type SuiteName, suiteName, SUITES } from './suite.ts';

export type UdpRequest =
  | { readonly kind: 'associate' }
  /** An address or a name, judged when it is asked for. */
  | { readonly kind: 'associate with'; readonly host: string; readonly port: number }
  /** `association`: hexadecimal. */
  | { readonly kind: 'adopt'; readonly association: string; readonly proof: Uint8Array };

/** What a node gives, once: the association's id, in hexadecimal, and all that its keys need. */
export interface Grant {
  readonly id: string;
  readonly secret: Uint8Array;
  readonly suite: SuiteName;
  readonly graceMs: number;
}

export type ControlMessage =
  | { readonly kind: 'grant'; readonly grant: Grant }
  /** A view. */
  | { readonly kind: 'payload'; readonly payload: Buffer }
  | { readonly kind: 'ended'; readonly reason: EndReason };

const VERSION = 5;
/** CMD of RFC 1928 §4, and with the UDP bit those that are ours. */
export const UdpCommand = { associate: 0x03, associateWith: 0x83, adopt: 0x84 } as const;
const ControlKind = { grant: 1, payload: 2, ended: 3 } as const;
const PROOF_BYTES = 32;
const GRANT_BYTES = 1 + ASSOCIATION_BYTES + SECRET_BYTES + 1 + 4;
const ADOPT_BYTES = 3 + ASSOCIATION_BYTES + PROOF_BYTES;

export function encodeUdpRequest(request: UdpRequest): Buffer {
  switch (request.kind) {
    case 'associate':
      return requestBytes(UdpCommand.associate, encodeHost('0.0.0.0'), Buffer.alloc(2));
    case 'associate with': {
      const port = Buffer.alloc(2);
      port.writeUInt16BE(request.port);
      return requestBytes(UdpCommand.associateWith, encodeHost(request.host), port);
    }
    case 'adopt':
      return requestBytes(UdpCommand.adopt, Buffer.from(request.association, 'hex'), request.proof);
  }
}

/** Undefined for what is no adoption. */
export function decodeAdoption(
  request: Buffer,
): Extract<UdpRequest, { kind: 'adopt' }> | undefined {
  if (request[0] !== VERSION || request[1] !== UdpCommand.adopt) return undefined;
  if (request.length !== ADOPT_BYTES) return undefined;
  const association = request.toString('hex', 3, 3 + ASSOCIATION_BYTES);
  return { kind: 'adopt', association, proof: request.subarray(3 + ASSOCIATION_BYTES) };
}

export function encodeGrant({ id, secret, suite, graceMs }: Grant): Buffer {
  const grace = Buffer.alloc(4);
  grace.writeUInt32BE(graceMs);
  const parts = [Buffer.of(ControlKind.grant), Buffer.from(id, 'hex'), secret];
  return Buffer.concat([...parts, Buffer.of(SUITES[suite].number), grace]);
}

/** Copies the payload. */
export function encodeControlPayload(payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(ControlKind.payload), payload]);
}

export function encodeEnded(reason: EndReason): Buffer {
  return Buffer.of(ControlKind.ended, endReasonNumber(reason));
}

/** Undefined for what makes no sense. */
export function decodeControl(frame: Buffer): ControlMessage | undefined {
  const body = frame.subarray(1);
  if (frame[0] === ControlKind.payload) return { kind: 'payload', payload: body };
  if (frame[0] === ControlKind.grant) return decodeGrant(frame);
  const reason = body.length === 1 ? endReason(body.readUInt8()) : undefined;
  return frame[0] === ControlKind.ended && reason ? { kind: 'ended', reason } : undefined;
}

function decodeGrant(frame: Buffer): ControlMessage | undefined {
  if (frame.length !== GRANT_BYTES) return undefined;
  const secretAt = 1 + ASSOCIATION_BYTES;
  const suiteAt = secretAt + SECRET_BYTES;
  const suite = suiteName(frame.readUInt8(suiteAt));
  if (!suite) return undefined;
  const id = frame.toString('hex', 1, secretAt);
  const secret = Buffer.from(frame.subarray(secretAt, suiteAt));
  return { kind: 'grant', grant: { id, secret, suite, graceMs: frame.readUInt32BE(suiteAt + 1) } };
}

function requestBytes(command: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.of(VERSION, command, 0), ...parts]);
}
