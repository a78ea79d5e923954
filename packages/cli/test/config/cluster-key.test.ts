import t from 'tap';
import { decodeClusterKey, encodeClusterKey } from '../../src/config/cluster-key.ts';

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 130);
const file = (body: string) => `argyle cluster key 1\n${body}\n`;

t.test('a key is read as it was written, whatever ends its lines', async (t) => {
  const text = encodeClusterKey(KEY);
  t.same(decodeClusterKey(text), { key: Buffer.from(KEY) });
  t.same(decodeClusterKey(text.replaceAll('\n', '\r\n')), { key: Buffer.from(KEY) });
});

t.test('what is no key is told without quoting it', async (t) => {
  const cases: readonly [string, string][] = [
    ['', 'no first line "argyle cluster key 1"'],
    ['hunter2', 'no first line "argyle cluster key 1"'],
    ['argyle cluster key 1', 'no key after the first line'],
    [file('correct horse battery staple'), 'a second line that is not base64'],
    [file('AAAA\nAAAA'), 'more than one line after the first'],
    [file(Buffer.alloc(31, 200).toString('base64')), 'a key of 31 bytes'],
    [file(Buffer.from(KEY).toString('hex')), 'a key of 48 bytes'],
    [
      file(Buffer.from('correct horse battery staple 123').toString('base64')),
      'a key that is a passphrase, not random bytes',
    ],
    [file(Buffer.alloc(32).toString('base64')), 'a key that is a passphrase, not random bytes'],
  ];
  for (const [text, found] of cases) t.same(decodeClusterKey(text), { found });
});
