import * as z from 'zod';
import type { UserEntry } from '@argyle/node';
import { ConfigDocument } from './document.ts';
import { exposure } from './files.ts';
import type { Findings } from './problem.ts';
import { list, text, value } from './values.ts';

export const USER_NAME = /^[^\s\p{C}]{1,255}$/u;
/** 128 × N × r bytes of memory are needed for each check (RFC 7914 §2). */
const SCRYPT_MEMORY_MAX_BYTES = 256 * 1024 * 1024;
const SALT_BYTES_MIN = 8;
const HASH_BYTES_MIN = 16;

const usersSchema = z.record(
  text('a user name of 1 to 255 characters without spaces', USER_NAME),
  z.strictObject({
    password: value('a hash made by `argyle user add`', (found) =>
      typeof found === 'string' && isPasswordHash(found) ? found : undefined,
    ),
    groups: list(text('a group name without spaces', USER_NAME)),
  }),
);

export type Users = ReadonlyMap<string, UserEntry>;

/** The users of a file; undefined when anything is wrong, which is reported then. */
export function readUsers(file: string, findings: Findings): Users | undefined {
  const document = ConfigDocument.read(file, findings, () => true);
  if (!document) return undefined;
  const exposed = exposure(file);
  if (exposed !== undefined) findings.warnings.push(exposed);
  if (document.raw === null) return new Map();
  const users = document.validate(usersSchema);
  return users && new Map(Object.entries(users));
}

/** `scrypt$N$r$p$salt$hash`, salt and hash in base64url, at a cost that a node can pay. */
export function isPasswordHash(text: string): boolean {
  const match = /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([\w-]+)\$([\w-]+)$/.exec(text);
  if (!match) return false;
  const [cost = 0, block = 0, parallel = 0] = match.slice(1, 4).map(Number);
  const [salt, hash] = match.slice(4).map((part) => Buffer.from(part, 'base64url'));
  return (
    cost > 1 &&
    Number.isInteger(Math.log2(cost)) &&
    block >= 1 &&
    parallel >= 1 &&
    128 * cost * block * parallel <= SCRYPT_MEMORY_MAX_BYTES &&
    (salt?.length ?? 0) >= SALT_BYTES_MIN &&
    (hash?.length ?? 0) >= HASH_BYTES_MIN
  );
}
