import assert from 'node:assert/strict';

/**
 * The client's side of RFC 1928 towards a node, without I/O. One greeting offers no-auth and, when
 * a user is configured, user/password (RFC 1929); a node that knows the login of this connection's
 * TLS session selects no-auth, so that the password does not travel again.
 */

/** RFC 1928 §3. */
const VERSION = 0x05;
const METHOD_NONE = 0x00;
const METHOD_PASSWORD = 0x02;
const METHOD_REFUSED = 0xff;
/** RFC 1929 §2. */
const PASSWORD_VERSION = 0x01;
const PASSWORD_SUCCESS = 0x00;
/** RFC 1929 §2: a user name or a password. */
export const CREDENTIAL_BYTES_MAX = 255;
/** RFC 1928 §6. */
export const SUCCEEDED = 0x00;
const REPLY_HEADER_BYTES = 4;
const PORT_BYTES = 2;
const ADDRESS_IPV4 = 0x01;
const ADDRESS_NAME = 0x03;
const ADDRESS_IPV6 = 0x04;

export interface Reply {
  /** 0 is success. */
  readonly code: number;
  /** As the node sent it. */
  readonly bytes: Buffer;
}

/** RFC 1928 §6; undefined for what is none. */
export function decodeReply(bytes: Buffer): Reply | undefined {
  const [version, code, , type, nameBytes] = bytes;
  if (version !== VERSION || code === undefined) return undefined;
  if (type === undefined || nameBytes === undefined) return undefined;
  return replySizeBytes(type, nameBytes) === bytes.length ? { code, bytes } : undefined;
}

export type DialogueEvent =
  /** The node wants the password: send `password()`. */
  | { readonly kind: 'challenged' }
  /** The node takes requests. */
  | { readonly kind: 'ready' }
  /** `methods`: the node takes none of them. */
  | { readonly kind: 'refused'; readonly by: 'methods' | 'password' }
  /** These are not the words of a SOCKS5 server. */
  | { readonly kind: 'violated'; readonly reason: string };

type State = 'greeting' | 'method' | 'challenged' | 'password' | 'ready' | 'ended';

/** Order of calls: greeting, password if challenged. `receive` gives at most one event. */
export class SocksDialogue {
  readonly #user: { readonly name: string; readonly password: string } | undefined;
  #state: State = 'greeting';
  #received: Buffer = Buffer.alloc(0);

  constructor(user: { readonly name: string; readonly password: string } | undefined) {
    this.#user = user;
  }

  greeting(): Buffer {
    assert.equal(this.#state, 'greeting');
    this.#state = 'method';
    return this.#user
      ? Buffer.from([VERSION, 2, METHOD_NONE, METHOD_PASSWORD])
      : Buffer.from([VERSION, 1, METHOD_NONE]);
  }

  password(): Buffer {
    assert(this.#state === 'challenged' && this.#user);
    this.#state = 'password';
    return Buffer.concat([
      Buffer.from([PASSWORD_VERSION]),
      counted(this.#user.name),
      counted(this.#user.password),
    ]);
  }

  receive(bytes: Buffer): DialogueEvent | undefined {
    this.#received = Buffer.concat([this.#received, bytes]);
    if (this.#state === 'method') return this.#receiveMethod();
    if (this.#state === 'password') return this.#receiveVerdict();
    return this.#violated('it spoke out of turn');
  }

  #receiveMethod(): DialogueEvent | undefined {
    const answer = this.#takeAnswer();
    if (!answer) return undefined;
    const [version, method] = answer;
    if (version !== VERSION) return this.#violated(`its version is ${version}, not ${VERSION}`);
    if (this.#received.length > 0) return this.#violated('it spoke out of turn');
    if (method === METHOD_REFUSED) return this.#ended({ kind: 'refused', by: 'methods' });
    if (method === METHOD_PASSWORD && this.#user) {
      this.#state = 'challenged';
      return { kind: 'challenged' };
    }
    if (method !== METHOD_NONE) return this.#violated(`it selected method ${method}`);
    this.#state = 'ready';
    return { kind: 'ready' };
  }

  #receiveVerdict(): DialogueEvent | undefined {
    const answer = this.#takeAnswer();
    if (!answer) return undefined;
    const [version, verdict] = answer;
    if (version !== PASSWORD_VERSION) return this.#violated(`its sub-negotiation is ${version}`);
    if (verdict !== PASSWORD_SUCCESS) return this.#ended({ kind: 'refused', by: 'password' });
    if (this.#received.length > 0) return this.#violated('it spoke out of turn');
    this.#state = 'ready';
    return { kind: 'ready' };
  }

  /** Both sub-negotiations answer in two bytes. */
  #takeAnswer(): Buffer | undefined {
    if (this.#received.length < 2) return undefined;
    const answer = this.#received.subarray(0, 2);
    this.#received = this.#received.subarray(2);
    return answer;
  }

  #violated(reason: string): DialogueEvent {
    return this.#ended({ kind: 'violated', reason });
  }

  #ended(event: DialogueEvent): DialogueEvent {
    this.#state = 'ended';
    this.#received = Buffer.alloc(0);
    return event;
  }
}

/** RFC 1929 §2: one byte of length, then the bytes. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  assert(bytes.length <= CREDENTIAL_BYTES_MAX);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function replySizeBytes(type: number, nameBytes: number): number | undefined {
  if (type === ADDRESS_IPV4) return REPLY_HEADER_BYTES + 4 + PORT_BYTES;
  if (type === ADDRESS_IPV6) return REPLY_HEADER_BYTES + 16 + PORT_BYTES;
  if (type === ADDRESS_NAME) return REPLY_HEADER_BYTES + 1 + nameBytes + PORT_BYTES;
  return undefined;
}
