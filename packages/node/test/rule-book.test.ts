import t from 'tap';
import { parseAddress } from '@argyle/host';
import type { Rule } from '../src/options.ts';
import { ProtectedEndpoints } from '../src/protected-endpoints.ts';
import { RuleBook, type Question } from '../src/rule-book.ts';

const EMPTY: Omit<Rule, 'action'> = {
  ...{ users: [], groups: [], commands: [], networks: [], names: [], ports: [] },
};
const allow = (rule: Partial<Rule> = {}): Rule => ({ ...EMPTY, action: 'allow', ...rule });
const deny = (rule: Partial<Rule> = {}): Rule => ({ ...EMPTY, action: 'deny', ...rule });

function asks(address: string, others: Partial<Question> = {}): Question {
  const question = { command: 'connect', user: undefined, groups: [], name: undefined } as const;
  return { ...question, port: 443, address: parseAddress(address)!, ...others };
}

const PUBLIC = '93.184.216.34';

t.test('without a rule nothing is allowed', (t) => {
  t.equal(new RuleBook([]).allows(asks(PUBLIC)), false);
  t.end();
});

t.test('the first rule that matches decides', (t) => {
  const ports = [{ from: 443, to: 443 }];
  t.equal(new RuleBook([deny({ ports }), allow()]).allows(asks(PUBLIC)), false);
  t.equal(new RuleBook([allow({ ports }), deny()]).allows(asks(PUBLIC)), true);
  t.equal(new RuleBook([deny({ ports }), allow()]).allows(asks(PUBLIC, { port: 80 })), true);
  t.end();
});

t.test('every list that is not empty has to match', (t) => {
  const rule = allow({
    users: ['ada'],
    groups: ['staff'],
    commands: ['connect'],
    networks: ['93.184.0.0/16'],
    names: ['*.example.org', 'example.net'],
    ports: [{ from: 80, to: 90 }],
  });
  const good = { user: 'ada', groups: ['x', 'staff'], name: 'www.example.org', port: 90 };
  const table: [string, Partial<Question>, boolean][] = [
    ['all of it', {}, true],
    ['the other name', { name: 'example.net' }, true],
    ['another user', { user: 'bob' }, false],
    ['nobody', { user: undefined }, false],
    ['no group', { groups: [] }, false],
    ['another command', { command: 'udp' }, false],
    ['the suffix itself', { name: 'example.org' }, false],
    ['a name that only ends alike', { name: 'badexample.org' }, false],
    ['by address', { name: undefined }, false],
    ['a port too far', { port: 91 }, false],
    ['another network', { address: parseAddress('93.185.0.1')! }, false],
  ];
  for (const [what, change, allowed] of table) {
    const question = asks('93.184.216.34', { ...good, ...change });
    t.equal(new RuleBook([rule]).allows(question), allowed, what);
  }
  t.end();
});

const SPECIAL = [
  ...['127.0.0.1', '127.255.0.1', '0.0.0.0', '10.0.0.1', '172.16.0.1', '192.168.1.1'],
  ...['169.254.169.254', '100.64.0.1', '224.0.0.1', '239.192.0.1', '255.255.255.255'],
  ...['198.18.0.1', '::', '::1', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1', '2002:7f00:1::'],
  ...['64:ff9b::7f00:1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::127.0.0.1'],
];

t.test('a general allow means no special address, whether by all or by a wide network', (t) => {
  const wide = ['0.0.0.0/0', '::/0', '::ffff:0:0/96'];
  for (const address of SPECIAL) {
    t.equal(new RuleBook([allow()]).allows(asks(address)), false, address);
    t.equal(new RuleBook([allow({ networks: wide })]).allows(asks(address)), false, address);
    t.equal(new RuleBook([deny({ networks: wide }), allow()]).allows(asks(address)), false);
  }
  for (const address of [PUBLIC, '2606:2800:220:1::1', '172.32.0.1', '100.128.0.1']) {
    t.equal(new RuleBook([allow()]).allows(asks(address)), true, address);
    t.equal(new RuleBook([allow({ networks: wide })]).allows(asks(address)), true, address);
  }
  t.end();
});

t.test('a network within a special block opens itself and no more', (t) => {
  const book = new RuleBook([allow({ networks: ['127.0.0.0/8', '10.1.0.0/16', '::1/128'] })]);
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '10.1.255.1', '::1']) {
    t.equal(book.allows(asks(address)), true, address);
  }
  for (const address of ['10.2.0.1', '::2', '192.168.0.1', PUBLIC]) {
    t.equal(book.allows(asks(address)), false, address);
  }
  t.end();
});

t.test('a network that is none is an error that says where', (t) => {
  t.throws(() => new RuleBook([allow(), allow({ networks: ['10.0.0.1/8'] })]), {
    code: 'bad-network',
    message: /rules\[1\]\.networks.*10\.0\.0\.1\/8/,
  });
  t.end();
});

t.test('protected endpoints are found under every address of the machine', (t) => {
  const endpoints = new ProtectedEndpoints(
    [
      { address: '127.0.0.1', port: 12_081 },
      { address: '0.0.0.0', port: 9_000 },
      { address: '192.0.2.9', port: 7_000 },
    ],
    () => ['127.0.0.1', '198.51.100.7', '2001:db8::7', 'fe80::1%eth0'],
  );
  const own = ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::', '::1', '::ffff:127.0.0.1'];
  for (const address of [...own, '198.51.100.7', '2001:db8::7']) {
    t.equal(endpoints.protects(parseAddress(address)!, 12_081), true, address);
    t.equal(endpoints.protects(parseAddress(address)!, 9_000), true, address);
    t.equal(endpoints.protects(parseAddress(address)!, 12_082), false, 'another port');
  }
  t.equal(endpoints.protects(parseAddress('192.0.2.9')!, 7_000), true, 'one that is elsewhere');
  t.equal(endpoints.protects(parseAddress('127.0.0.1')!, 7_000), false);
  t.equal(endpoints.protects(parseAddress('192.0.2.8')!, 12_081), false);
  t.end();
});
