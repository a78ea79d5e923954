import { scrypt, timingSafeEqual } from 'node:crypto';

/**
 * A password as it is kept: `scrypt$N$r$p$salt$hash`, salt and hash in base64url (RFC 7914). `N` is
 * the cost in memory and time, `r` the block size, `p` the parallelism.
 */
export interface PasswordEntry {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelism: number;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

export const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** OWASP's middle choice: 32 MiB and about 80 ms a check. */
const DEFAULT_COST = { cost: 2 ** 15, blockSize: 8, parallelism: 1 } as const;
/** An entry that asks for more than this would stop the node. */
const MEMORY_MAX_BYTES = 256 * 1024 * 1024;

/** `salt`: 16 bytes from the kernel, never used before. */
export async function hashPassword(password: string, salt: Uint8Array): Promise<string> {
  const { cost, blockSize, parallelism } = DEFAULT_COST;
  const hash = await derive(password, { ...DEFAULT_COST, salt, hash: Buffer.alloc(HASH_BYTES) });
  const fields = [cost, blockSize, parallelism, base64url(salt), base64url(hash)];
  return ['scrypt', ...fields].join('$');
}

/** Undefined for what is no entry, or for one whose cost is out of bounds. */
export function parsePasswordEntry(text: string): PasswordEntry | undefined {
  const [scheme, cost, blockSize, parallelism, salt, hash, ...rest] = text.split('$');
  if (scheme !== 'scrypt' || salt === undefined || hash === undefined || rest.length > 0) {
    return undefined;
  }
  const entry = {
    cost: Number(cost),
    blockSize: Number(blockSize),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, 'base64url'),
    hash: Buffer.from(hash, 'base64url'),
  };
  const numbers = [entry.cost, entry.blockSize, entry.parallelism];
  if (!numbers.every((number) => Number.isInteger(number) && number > 0)) return undefined;
  if (entry.cost < 2 || (entry.cost & (entry.cost - 1)) !== 0) return undefined;
  if (memoryBytes(entry) > MEMORY_MAX_BYTES || entry.parallelism > 16) return undefined;
  if (entry.salt.length < SALT_BYTES || entry.hash.length < SALT_BYTES) return undefined;
  return entry;
}

/** An entry that no password opens and that costs as much as any: for users that do not exist. */
export function unusableEntry(salt: Uint8Array, hash: Uint8Array): PasswordEntry {
  return { ...DEFAULT_COST, salt, hash };
}

export async function verifyPassword(password: string, entry: PasswordEntry): Promise<boolean> {
  return timingSafeEqual(await derive(password, entry), entry.hash);
}

function derive(password: string, entry: PasswordEntry): Promise<Buffer> {
  const { cost, blockSize, parallelism, salt, hash } = entry;
  const maxmem = memoryBytes(entry) * 2;
  return new Promise((resolve, reject) => {
    const options = { N: cost, r: blockSize, p: parallelism, maxmem };
    scrypt(password.normalize('NFC'), salt, hash.length, options, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

/** RFC 7914 §2. */
function memoryBytes({ cost, blockSize, parallelism }: PasswordEntry): number {
  return 128 * blockSize * (cost + parallelism);
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
