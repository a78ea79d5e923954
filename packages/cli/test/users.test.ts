import { scryptSync, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { folder } from './fixture.ts';
import { argyle } from './run-argyle.ts';

function opens(entry: string, password: string): boolean {
  const [, n, r, p, salt = '', hash = ''] = entry.split('$');
  const expected = Buffer.from(hash, 'base64url');
  const options = { N: Number(n), r: Number(r), p: Number(p), maxmem: 512 * 1024 * 1024 };
  const found = scryptSync(password, Buffer.from(salt, 'base64url'), expected.length, options);
  return timingSafeEqual(found, expected);
}

function entry(file: string, name: string): string {
  const text = readFileSync(file, 'utf8');
  return new RegExp(`^${name}:\\n  password: (.*)$`, 'm').exec(text)?.[1] ?? '';
}

t.setTimeout(90_000);

t.test('a user is added with a password that is printed once and kept as a hash', async (t) => {
  const file = join(folder(t), 'deep', 'users.yaml');
  const { code, out } = await argyle(t, ['user', 'add', 'alice', '--users', file]);
  t.equal(code, 0);
  t.match(out, /^[\w-]{24}\n$/);
  t.equal(opens(entry(file, 'alice'), out.trim()), true);
  t.notMatch(readFileSync(file, 'utf8'), out.trim());
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal(existsSync(`${file}.lock`), false);
});

t.test('a password that is given is the first line, and is not printed', async (t) => {
  const file = join(folder(t), 'users.yaml');
  const args = ['user', 'add', 'bob', '--users', file, '--password-stdin', '--group', 'a', 'b'];
  const { code, out } = await argyle(t, args, 'correct horse\nbattery\n');
  t.equal(code, 0);
  t.equal(out, '');
  t.equal(opens(entry(file, 'bob'), 'correct horse'), true);
  const listed = await argyle(t, ['user', 'list', '--users', file]);
  t.equal(listed.out, 'user  groups\nbob   a, b\n');
});

t.test('an entry is replaced only when that is asked for, and comments stay', async (t) => {
  const file = join(folder(t), 'users.yaml');
  await argyle(t, ['user', 'add', 'alice', '--users', file]);
  writeFileSync(file, `# who may come in\n${readFileSync(file, 'utf8')}`, { mode: 0o600 });
  const before = entry(file, 'alice');
  const refused = await argyle(t, ['user', 'add', 'alice', '--users', file]);
  t.equal(refused.code, 1);
  t.match(refused.err, /has a user alice already: --replace/);
  t.equal(entry(file, 'alice'), before);
  t.equal((await argyle(t, ['user', 'add', 'alice', '--users', file, '--replace'])).code, 0);
  t.not(entry(file, 'alice'), before);
  t.match(readFileSync(file, 'utf8'), /^# who may come in\n/);
});

t.test('a user is removed, and one who is not there is not', async (t) => {
  const file = join(folder(t), 'users.yaml');
  await argyle(t, ['user', 'add', 'alice', '--users', file]);
  const wrong = await argyle(t, ['user', 'remove', 'alic', '--users', file]);
  t.equal(wrong.code, 1);
  t.match(wrong.err, /has no user alic; did you mean alice\?/);
  t.equal((await argyle(t, ['user', 'remove', 'alice', '--users', file])).code, 0);
  t.equal(entry(file, 'alice'), '');
});

t.test('names and passwords that SOCKS cannot carry are refused', async (t) => {
  const file = join(folder(t), 'users.yaml');
  const long = 'x'.repeat(256);
  for (const args of [['al ice'], [long], ['bob', '--group', 'a b']])
    t.equal((await argyle(t, ['user', 'add', ...args, '--users', file])).code, 2, args.join());
  for (const password of ['', '\n', `${long}\n`]) {
    const args = ['user', 'add', 'bob', '--users', file, '--password-stdin'];
    t.equal((await argyle(t, args, password)).code, 2);
  }
  t.equal(existsSync(file), false);
});

t.test('a damaged list is told and not touched', async (t) => {
  const file = join(folder(t), 'users.yaml');
  writeFileSync(file, 'alice: hunter2\n', { mode: 0o600 });
  const { code, err } = await argyle(t, ['user', 'add', 'bob', '--users', file]);
  t.equal(code, 2);
  t.match(err, `${file}:1: alice: found a value that is not shown, wanted a map`);
  t.notMatch(err, 'hunter2');
  t.equal(readFileSync(file, 'utf8'), 'alice: hunter2\n');
});

t.test('while one command edits the list, another does not', async (t) => {
  const file = join(folder(t), 'users.yaml');
  writeFileSync(`${file}.lock`, '');
  const { code, err } = await argyle(t, ['user', 'add', 'bob', '--users', file]);
  t.equal(code, 1);
  t.match(err, `if none is, remove ${file}.lock`);
});
