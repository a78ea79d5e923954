import * as z from 'zod';
import { parsePasswordEntry, type UserEntry } from '@argyle/node';
import { ConfigDocument } from './document.ts';
import { exposure } from './files.ts';
import type { Findings } from './problem.ts';
import { USER_NAME, credential, list, value } from './values.ts';

const usersSchema = z.record(
  credential('a user name without spaces', USER_NAME),
  z.strictObject({
    password: value('a hash made by `argyle user add`', (found) =>
      typeof found === 'string' && parsePasswordEntry(found) ? found : undefined,
    ),
    groups: list(credential('a group name without spaces', USER_NAME)),
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
