import { scryptSync } from 'node:crypto';
import type { UserEntry } from '../src/options.ts';

/** An entry that is cheap to check, with the user's name as its salt. */
export function userEntry(name: string, password: string, groups: string[] = []): UserEntry {
  const salt = Buffer.alloc(16, name);
  const hash = scryptSync(password, salt, 32, { N: 16, r: 8, p: 1 });
  const fields = [salt, hash].map((bytes) => bytes.toString('base64url'));
  return { password: ['scrypt', 16, 8, 1, ...fields].join('$'), groups };
}

export function userList(...users: [name: string, password: string, ...groups: string[]][]) {
  return new Map(
    users.map(([name, password, ...groups]) => [name, userEntry(name, password, groups)]),
  );
}
