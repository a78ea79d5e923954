/**
 * The user/password sub-negotiation of RFC 1929, the server's side.
 *
 * ```
 * +----+------+----------+------+----------+
 * |VER | ULEN |  UNAME   | PLEN |  PASSWD  |
 * +----+------+----------+------+----------+
 * | 1  |  1   | 1 to 255 |  1   | 1 to 255 |
 * +----+------+----------+------+----------+
 * ```
 */
export type LoginProgress =
  | { readonly kind: 'incomplete' }
  | {
      readonly kind: 'login';
      readonly user: string;
      readonly password: string;
      /** What came after it. */
      readonly rest: Uint8Array;
    }
  | { readonly kind: 'malformed' };

export const LOGIN_VERSION = 1;
export const LOGIN_ACCEPTED = Uint8Array.of(LOGIN_VERSION, 0);
export const LOGIN_REFUSED = Uint8Array.of(LOGIN_VERSION, 1);

const MESSAGE_MAX = 1 + 1 + 255 + 1 + 255;

/** Give `push` each chunk until it says something else than incomplete; then it is spent. */
export class LoginReader {
  #bytes: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): LoginProgress {
    const taken = Math.min(chunk.length, MESSAGE_MAX);
    const bytes = Buffer.concat([this.#bytes, chunk.subarray(0, taken)]);
    this.#bytes = bytes;
    if (bytes.length > 0 && bytes[0] !== LOGIN_VERSION) return { kind: 'malformed' };
    const userBytes = bytes[1];
    if (userBytes === undefined) return { kind: 'incomplete' };
    const passwordBytes = bytes[2 + userBytes];
    if (userBytes === 0 || passwordBytes === 0) return { kind: 'malformed' };
    if (passwordBytes === undefined) return { kind: 'incomplete' };
    const end = 3 + userBytes + passwordBytes;
    if (bytes.length < end) return { kind: 'incomplete' };
    const user = bytes.toString('utf8', 2, 2 + userBytes);
    const password = bytes.toString('utf8', 3 + userBytes, end);
    const rest = Buffer.concat([bytes.subarray(end), chunk.subarray(taken)]);
    return { kind: 'login', user, password, rest };
  }
}
