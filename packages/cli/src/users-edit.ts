import { existsSync, readFileSync } from 'node:fs';
import { Document, isMap, parseDocument, YAMLMap } from 'yaml';
import type { Host } from '@argyle/host';
import { SALT_BYTES, hashPassword } from '@argyle/node';
import { Findings } from './config/problem.ts';
import { readUsers, type Users } from './config/users-file.ts';
import { CliError } from './exit-code.ts';
import { exclusively, writePrivate } from './private-file.ts';

export interface NewUser {
  readonly name: string;
  readonly password: string;
  readonly groups: readonly string[];
  /** Whether an entry of that name may be there. */
  readonly replace: boolean;
}

/** 24 characters of base64url. */
const GENERATED_BYTES = 18;
/** RFC 1929. */
const PASSWORD_BYTES_MAX = 255;

export function newPassword(host: Host): string {
  return Buffer.from(host.random(GENERATED_BYTES)).toString('base64url');
}

/** Throws a ConfigError when the file is damaged. */
export function listUsers(file: string): Users {
  const findings = new Findings();
  const users = existsSync(file) ? readUsers(file, findings) : new Map();
  findings.settle();
  return users ?? new Map();
}

export async function putUser(host: Host, file: string, user: NewUser): Promise<void> {
  const bytes = Buffer.byteLength(user.password);
  if (bytes < 1 || bytes > PASSWORD_BYTES_MAX)
    throw new CliError('usage', `a password has 1 to ${PASSWORD_BYTES_MAX} bytes, not ${bytes}`);
  await edit(file, async (entries, document) => {
    if (entries.has(user.name) && !user.replace)
      throw new CliError('exists', `${file} has a user ${user.name} already: --replace him`);
    const password = await hashPassword(user.password, host.random(SALT_BYTES));
    entries.set(user.name, document.createNode({ password, groups: user.groups }));
  });
}

export async function removeUser(file: string, name: string): Promise<void> {
  await edit(file, async (entries) => {
    if (!entries.delete(name)) throw new CliError('missing', `${file} has no user ${name}`);
  });
}

/** Keeps the comments and the order of a file that people edit, too. */
async function edit(
  file: string,
  change: (entries: YAMLMap, document: Document) => Promise<void>,
): Promise<void> {
  await exclusively(file, async () => {
    listUsers(file);
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '# Edited by `argyle user`.\n';
    const document: Document = parseDocument(text);
    const entries = isMap(document.contents) ? document.contents : new YAMLMap();
    document.contents = entries as YAMLMap;
    await change(entries as YAMLMap, document);
    writePrivate(file, document.toString());
  });
}
