/** Of a secret that is longer, its first and its last bytes are looked for. */
const ANCHOR_BYTES = 8;
const PREFIX_BYTES = 4;

interface Pattern {
  readonly bytes: Buffer;
  readonly found: string;
}

/**
 * Finds secrets of eight bytes and more in whatever a program may have made of them: the bytes
 * themselves, hexadecimal, base64 at any alignment, lists of numbers, and objects as JSON makes
 * them of typed arrays; with any white space in between.
 */
export class SecretSearch {
  readonly #names = new Map<string, string>();
  /** By their first bytes, as a number. */
  readonly #patterns = new Map<number, Pattern[]>();

  get size(): number {
    return this.#names.size;
  }

  add(name: string, secret: Uint8Array): void {
    const bytes = Buffer.from(secret);
    if (bytes.length < ANCHOR_BYTES) throw new Error(`${name} is too short to look for`);
    const key = bytes.toString('hex');
    if (this.#names.has(key)) return;
    this.#names.set(key, name);
    const ends = new Set([0, bytes.length - ANCHOR_BYTES]);
    for (const at of ends) {
      const anchor = bytes.subarray(at, at + ANCHOR_BYTES);
      for (const [encoding, text] of encodings(anchor, at)) {
        this.#put({ bytes: Buffer.from(text), found: `${name}, ${encoding}` });
      }
      this.#put({ bytes: anchor, found: `${name}, raw` });
    }
  }

  /** Which secrets lie in it, and how they are encoded there. */
  find(haystack: Uint8Array | string): string[] {
    const bytes = Buffer.from(haystack as Uint8Array);
    const compact = Buffer.from(bytes.toString('latin1').replaceAll(/\s+/g, ''), 'latin1');
    return [...new Set([...this.#scan(bytes), ...this.#scan(compact)])];
  }

  #put(pattern: Pattern): void {
    const key = pattern.bytes.readUInt32LE(0);
    const others = this.#patterns.get(key);
    if (others) others.push(pattern);
    else this.#patterns.set(key, [pattern]);
  }

  *#scan(bytes: Buffer): Generator<string> {
    for (let at = 0; at + PREFIX_BYTES <= bytes.length; at += 1) {
      for (const pattern of this.#patterns.get(bytes.readUInt32LE(at)) ?? []) {
        const candidate = bytes.subarray(at, at + pattern.bytes.length);
        if (candidate.equals(pattern.bytes)) yield pattern.found;
      }
    }
  }
}

/** What eight bytes look like as text without white space; `at`: where they lie in the secret. */
export function encodings(anchor: Buffer, at: number): [string, string][] {
  const hex = anchor.toString('hex');
  const pairs = [...anchor].map((byte) => byte.toString(16).padStart(2, '0'));
  const entries = [...anchor].map((byte, index) => `"${at + index}":${byte}`);
  const texts: [string, string][] = [
    ['hex', hex],
    ['upper-case hex', hex.toUpperCase()],
    ['hex with colons', pairs.join(':')],
    ['upper-case hex with colons', pairs.join(':').toUpperCase()],
    ['decimal numbers', anchor.join(',')],
    ['a typed array in JSON', entries.join(',')],
  ];
  for (const before of [0, 1, 2]) {
    const first = Math.ceil((before * 8) / 6);
    const last = Math.floor(((before + anchor.length) * 8) / 6);
    const padded = Buffer.concat([Buffer.alloc(before), anchor]);
    texts.push([`base64 from ${before}`, padded.toString('base64').slice(first, last)]);
    texts.push([`base64url from ${before}`, padded.toString('base64url').slice(first, last)]);
  }
  return texts;
}
