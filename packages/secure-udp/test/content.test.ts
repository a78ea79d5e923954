import t from 'tap';
import {
  BITMAP_BYTES_MAX,
  decodeContent,
  encodeAnswer,
  encodeData,
  encodeEnd,
  encodeProbe,
  encodeReceipt,
  isReceived,
  TRIGGERING_PROBE_BYTES,
} from '../src/content.ts';
import { HEADER_BYTES } from '../src/record.ts';
import { SUITES } from '../src/suite.ts';
import { TAKE_BYTES } from '../src/take.ts';
import { counting } from './fixture.ts';

const TOKEN = counting(1, 8);

t.test('every content is read as it was written', (t) => {
  const payload = Buffer.from('payload');
  t.same(decodeContent(encodeData(payload)), { kind: 'data', payload });
  t.same(decodeContent(encodeData(new Uint8Array(0))), { kind: 'data', payload: Buffer.alloc(0) });
  t.same(decodeContent(encodeProbe(TOKEN)), { kind: 'probe', token: TOKEN });
  t.same(decodeContent(encodeProbe(TOKEN, TRIGGERING_PROBE_BYTES)), {
    kind: 'probe',
    token: TOKEN,
  });
  t.same(decodeContent(encodeAnswer(TOKEN)), { kind: 'answer', token: TOKEN });
  for (const kind of ['received', 'leave'] as const) {
    const receipt = { highest: 2 ** 40, bitmap: counting(0, 9) };
    t.same(decodeContent(encodeReceipt(kind, receipt)), { kind, receipt });
    const empty = { highest: 0, bitmap: Buffer.alloc(0) };
    t.same(decodeContent(encodeReceipt(kind, empty)), { kind, receipt: empty });
  }
  for (const reason of ['closed', 'deleted', 'replay'] as const) {
    t.same(decodeContent(encodeEnd(reason)), { kind: 'end', reason });
  }
  t.end();
});

t.test('what makes no sense is refused, and every truncation but of a payload', (t) => {
  const receipt = { highest: 5, bitmap: Buffer.alloc(BITMAP_BYTES_MAX) };
  const refused: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['kind 0', Buffer.of(0)],
    ['kind 7', Buffer.of(7, 1, 2)],
    ['a probe that is too long', encodeProbe(TOKEN, 66)],
    ['a longer answer', Buffer.concat([encodeAnswer(TOKEN), Buffer.alloc(1)])],
    ['a longer end', Buffer.concat([encodeEnd('closed'), Buffer.alloc(1)])],
    ['an unknown reason', Buffer.of(6, 0)],
    ['an unknown reason', Buffer.of(6, 4)],
    [
      'a bitmap that is too long',
      Buffer.concat([encodeReceipt('leave', receipt), Buffer.alloc(1)]),
    ],
    ['a highest beyond counting', Buffer.concat([Buffer.of(4, 0, 1), Buffer.alloc(6)])],
  ];
  for (const [what, content] of refused) t.equal(decodeContent(content), undefined, what);
  const short = { highest: 5, bitmap: new Uint8Array(0) };
  const whole = [
    encodeProbe(TOKEN),
    encodeAnswer(TOKEN),
    encodeReceipt('received', short),
    encodeReceipt('leave', short),
    encodeEnd('replay'),
  ];
  for (const content of whole) {
    for (let end = 0; end < content.length; end += 1) {
      t.equal(decodeContent(content.subarray(0, end)), undefined, `kind ${content[0]} at ${end}`);
    }
  }
  t.end();
});

t.test('a receipt says of each sequence whether it came, or nothing', (t) => {
  const receipt = { highest: 20, bitmap: Buffer.of(0b1000_0001, 0b0000_0010) };
  const came = new Map<number, boolean | undefined>([
    [21, false],
    [20, true],
    [19, true],
    [18, false],
    [12, true],
    [11, false],
    [10, true],
    [4, false],
    [3, undefined],
    [0, undefined],
  ]);
  for (const [sequence, wanted] of came)
    t.equal(isReceived(receipt, sequence), wanted, `${sequence}`);
  t.end();
});

t.test("a client's probe is long enough to be answered by a TAKE, in every suite", (t) => {
  for (const [name, suite] of Object.entries(SUITES)) {
    const sizeBytes = suite.sizeBytes(HEADER_BYTES, TRIGGERING_PROBE_BYTES);
    t.ok(sizeBytes >= TAKE_BYTES, `${name}: ${sizeBytes}`);
  }
  t.end();
});
