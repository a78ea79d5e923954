import { text } from 'node:stream/consumers';
import { SystemHost } from '@argyle/host/system';
import { nearestHint } from '../arguments.ts';
import { USER_NAME } from '../config/values.ts';
import { CliError } from '../exit-code.ts';
import { Home } from '../home.ts';
import { table } from '../table.ts';
import { listUsers, newPassword, putUser, removeUser } from '../users-edit.ts';

export interface UserOptions {
  readonly home: string;
  readonly users?: string;
}

export interface AddOptions extends UserOptions {
  readonly group: readonly string[];
  readonly passwordStdin?: true;
  readonly replace?: true;
}

/** A generated password is printed, once; one that was given is not. */
export async function add(name: string, options: AddOptions): Promise<void> {
  for (const word of [name, ...options.group])
    if (!USER_NAME.test(word) || Buffer.byteLength(word) > 255)
      throw new CliError(
        'usage',
        `found "${word}", wanted a name of 1 to 255 bytes without spaces`,
      );
  const host = new SystemHost();
  const given = options.passwordStdin ? await firstLine() : undefined;
  const password = given ?? newPassword(host);
  await putUser(host, usersFile(options), {
    name,
    password,
    groups: options.group,
    replace: options.replace ?? false,
  });
  if (given === undefined) process.stdout.write(`${password}\n`);
}

export async function remove(name: string, options: UserOptions): Promise<void> {
  const file = usersFile(options);
  const users = listUsers(file);
  if (!users.has(name))
    throw new CliError(
      'missing',
      `${file} has no user ${name}${nearestHint(name, [...users.keys()])}`,
    );
  await removeUser(file, name);
}

export async function list(options: UserOptions): Promise<void> {
  const users = [...listUsers(usersFile(options))].toSorted(([a], [b]) => a.localeCompare(b));
  const rows = users.map(([name, { groups }]) => [name, groups.join(', ')]);
  process.stdout.write(`${table(['user', 'groups'], rows)}\n`);
}

function usersFile(options: UserOptions): string {
  return options.users ?? new Home(options.home).users;
}

async function firstLine(): Promise<string> {
  return (await text(process.stdin)).split(/\r?\n/, 1)[0] ?? '';
}
