import { readFileSync } from 'node:fs';
import t from 'tap';
import { ALPN_PROTOCOL } from '../src/secure-connection.ts';
import { Table } from '../src/tables.ts';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const protocol = read('../PROTOCOL.md');

t.test('the boxes in PROTOCOL.md are those above the codecs', (t) => {
  for (const file of ['session-record', 'login-record', '../../host/src/chunks']) {
    const [, box = ''] = /\* ```\n([\s\S]+?) \* ```/.exec(read(`../src/${file}.ts`)) ?? [];
    const plain = box.replaceAll(/^ \* ?/gm, '');
    t.ok(plain.length > 0 && protocol.includes(plain), file);
  }
  t.end();
});

t.test('PROTOCOL.md names every table and parameter', (t) => {
  const [, tables = ''] = /## Tables\n([\s\S]+?)\n## /.exec(protocol) ?? [];
  const numbers = [...tables.matchAll(/^\| (\d) +\|/gm)].map(([, number]) => Number(number));
  t.strictSame(numbers, Object.values(Table));
  t.match(protocol, ALPN_PROTOCOL);
  const [, context = ''] = /SESSION_ID_CONTEXT = '(.+)'/.exec(read('../src/tls-front.ts')) ?? [];
  t.match(protocol, `\`${context}\``);
  t.end();
});
