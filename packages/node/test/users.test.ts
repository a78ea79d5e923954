import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { hashPassword, parsePasswordEntry, verifyPassword } from '../src/password.ts';
import { Users } from '../src/users.ts';
import { userEntry, userList } from './users-fixture.ts';

const host = new SystemHost();

t.test('a password is verified against what hashing made of it', async (t) => {
  const text = await hashPassword('correct horse', host.random(16));
  t.match(text, /^scrypt\$32768\$8\$1\$[\w-]{22}\$[\w-]{43}$/);
  const entry = parsePasswordEntry(text)!;
  t.equal(await verifyPassword('correct horse', entry), true);
  t.equal(await verifyPassword('correct hors', entry), false);
  t.not(await hashPassword('correct horse', host.random(16)), text);
});

t.test('what is no entry, or would stop the node, is refused', (t) => {
  const [scheme, , , , salt, hash] = userEntry('ada', 'x').password.split('$');
  for (const text of [
    '',
    'secret',
    `bcrypt$16$8$1$${salt}$${hash}`,
    `scrypt$17$8$1$${salt}$${hash}`,
    `scrypt$0$8$1$${salt}$${hash}`,
    `scrypt$16$8$1$$${hash}`,
    `scrypt$16$8$1$${salt}$`,
    `scrypt$16$8$1$${salt}$${hash}$more`,
    `scrypt$${2 ** 24}$8$1$${salt}$${hash}`,
    `scrypt$16$8$1000$${salt}$${hash}`,
    `scrypt$16$x$1$${salt}$${hash}`,
  ]) {
    t.equal(parsePasswordEntry(text), undefined, text);
  }
  t.ok(parsePasswordEntry(`${scheme}$16$8$1$${salt}$${hash}`));
  t.throws(() => new Users(host, new Map([['ada', { password: 'oops', groups: [] }]])), {
    code: 'bad-user',
    message: /ada/,
  });
  t.end();
});

t.test('an error about an entry does not hold it', (t) => {
  const wrong = 'scrypt$nonsense-secret';
  try {
    new Users(host, new Map([['ada', { password: wrong, groups: [] }]]));
    t.fail('it was accepted');
  } catch (error) {
    t.notMatch(String(error), 'nonsense');
  }
  t.end();
});

t.test('users are checked by name and password', async (t) => {
  const users = new Users(host, userList(['ada', 'correct', 'staff'], ['bob', 'horse']));
  t.equal(await users.check('ada', 'correct'), 'accepted');
  t.equal(await users.check('ada', 'horse'), 'wrong');
  t.equal(await users.check('eve', 'correct'), 'unknown');
  t.strictSame(users.groups('ada'), ['staff']);
  t.strictSame(users.groups('eve'), []);
});

t.test('a user who does not exist costs the same work', async (t) => {
  const real = await hashPassword('x', host.random(16));
  const users = new Users(host, new Map([['ada', { password: real, groups: [] }]]));
  const cost = async (name: string) => {
    const start = process.cpuUsage();
    await users.check(name, 'wrong');
    const { user, system } = process.cpuUsage(start);
    return user + system;
  };
  await cost('ada');
  const [known, unknown] = [await cost('ada'), await cost('eve')];
  t.ok(unknown > known / 3 && unknown < known * 3, `${known} and ${unknown} µs of CPU`);
});

t.test('checks wait for one another, and too many are refused unchecked', async (t) => {
  const users = new Users(host, userList(['ada', 'correct']));
  const checks = Array.from({ length: 200 }, () => users.check('ada', 'correct'));
  const results = await Promise.all(checks);
  t.equal(results.filter((result) => result === 'accepted').length, 130);
  t.equal(results.filter((result) => result === 'busy').length, 70);
  t.equal(await users.check('ada', 'correct'), 'accepted', 'and the next one is checked');
});

t.test('nothing is checked for whoever left while others were', async (t) => {
  const users = new Users(host, userList(['ada', 'correct']));
  let here = true;
  const checks = Array.from({ length: 4 }, () => users.check('ada', 'correct', () => here));
  here = false;
  t.same(await Promise.all(checks), ['accepted', 'accepted', 'left', 'left']);
});

t.test('replacing the users says whose entries are gone or changed', async (t) => {
  const users = new Users(host, userList(['ada', 'one'], ['bob', 'two'], ['eve', 'three']));
  const before = users.credential('ada')!;
  const checked = users.check('eve', 'three');
  t.strictSame(users.replace(userList(['ada', 'new'], ['bob', 'two'])), ['ada', 'eve']);
  t.equal(users.holds('ada', before), false);
  t.equal(await checked, 'unknown', 'a check that was under way is worth nothing');
});
