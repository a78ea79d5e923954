import t from 'tap';
import {
  encodeAnswer,
  encodeData,
  encodeEnd,
  encodeProbe,
  isReceived,
  type Receipt,
} from '../src/content.ts';
import { counting, ID } from './fixture.ts';
import {
  CLIENT,
  HandEpoch,
  HandNode,
  hello,
  MOVED,
  openEpoch,
  RECORD,
  sent,
  STRANGER,
} from './hand-client.ts';

const payload = (text: string) => encodeData(Buffer.from(text));
const TOKEN = counting(1, 8);

function receipts(node: HandNode, epoch: HandEpoch): Receipt[] {
  return sent(node, epoch).flatMap(({ content }) =>
    content?.kind === 'received' ? [content.receipt] : [],
  );
}

t.test('a record that comes twice is relayed once', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('one'));
  const two = epoch.seal(payload('two'));
  node.receive(two).receive(two).receive(two, STRANGER);
  t.same(node.payloads(), ['one', 'two']);
  t.same(node.dropped(), { replayed: 2 });
  t.end();
});

t.test('records may share a datagram, up to the first that makes no sense', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('one'));
  const [two, three] = [epoch.seal(payload('two')), epoch.seal(payload('three'))];
  node.receive(Buffer.concat([three, two, Buffer.from('rubbish')]));
  t.same(node.payloads(), ['one', 'three', 'two']);
  t.same(node.dropped(), { short: 1 });
  t.end();
});

t.test('every truncation and every flipped bit of a record is refused', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('one'));
  node.payloads();
  const record = epoch.seal(payload('two'));
  for (let end = 0; end < record.length; end += 1) node.receive(record.subarray(0, end));
  for (let bit = 0; bit < record.length * 8; bit += 1) {
    const forged = Buffer.from(record);
    forged[bit >> 3]! ^= 1 << (bit & 7);
    node.receive(forged);
  }
  t.same(node.payloads(), []);
  node.receive(record);
  t.same(node.payloads(), ['two'], 'and none of them did any harm');
  t.end();
});

t.test('a replay is told, or ends the association, only if it is one', (t) => {
  const warning = new HandNode({ replay: 'warn' });
  const one = openEpoch(warning, payload('one'));
  const record = one.seal(payload('two'));
  warning.receive(record).kinds();
  const forged = Buffer.from(record);
  forged[forged.length - 1]! ^= 1;
  t.same(warning.receive(forged).kinds(), [], 'a forgery of the same sequence is none');
  t.same(warning.receive(record).receive(record).kinds(), ['replay'], 'once a second');
  warning.pass(1_000);
  t.same(warning.receive(record).kinds(), ['replay']);
  const ending = new HandNode({ replay: 'end' });
  const other = openEpoch(ending, payload('one'));
  const again = other.seal(payload('two'));
  ending.receive(again).kinds();
  ending.take();
  t.match(ending.receive(again).events.splice(0), [{ kind: 'ended', reason: 'replay' }]);
  t.match(sent(ending, other), [{ content: { kind: 'end', reason: 'replay' }, to: CLIENT }]);
  t.equal(ending.machine.size, 0);
  t.end();
});

t.test('receipts say exactly what came, at most every 10 ms', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  node.pass(10);
  const records = Array.from({ length: 100 }, (_, index) => epoch.seal(payload(`${index + 1}`)));
  const lost = new Set([3, 4, 50, 98]);
  t.equal(receipts(node, epoch).length, 1, 'the first at once');
  for (const [index, record] of records.entries()) {
    if (!lost.has(index + 1)) node.receive(record);
    node.pass(1);
  }
  node.pass(10);
  const got = receipts(node, epoch);
  t.ok(got.length >= 10 && got.length <= 12, `${got.length} in 110 ms`);
  const last = got.at(-1)!;
  t.equal(last.highest, 100);
  for (let sequence = 40; sequence <= 100; sequence += 1) {
    t.equal(isReceived(last, sequence), !lost.has(sequence), `${sequence}`);
  }
  t.end();
});

t.test('many records at once get their receipts before these reach back too far', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  node.take();
  for (let index = 0; index < 1_000; index += 1) node.receive(epoch.seal(payload('x')));
  const got = receipts(node, epoch);
  t.equal(got.length, 3);
  t.equal(isReceived(got[2]!, 1), true, 'the last reaches back to the first');
  t.end();
});

t.test('the client hears something every 250 ms, until ten seconds after the last payload', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  node.take();
  node.pass(1_000);
  t.equal(receipts(node, epoch).length, 4);
  node.pass(30_000);
  const beats = receipts(node, epoch).length;
  t.ok(beats >= 35 && beats <= 37, `${beats}`);
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  node.pass(600);
  t.equal(receipts(node, epoch).length, 2, 'and again after one from the target');
  t.end();
});

t.test('what the target sends goes to the epoch that the client sent in last', (t) => {
  const node = new HandNode();
  t.notOk(node.machine.handlePayload(ID, Buffer.from('nobody'), node.now));
  const standby = openEpoch(node, encodeProbe(TOKEN));
  t.match(sent(node, standby), [{ content: { kind: 'answer', token: TOKEN } }]);
  t.notOk(node.machine.handlePayload(ID, Buffer.from('standby'), node.now), 'no payload yet');
  t.same(Object.fromEntries(node.machine.counters.unsent), { epoch: 2 });
  const first = openEpoch(node, payload('first'));
  node.take();
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  t.match(sent(node, first), [{ content: { kind: 'data', payload: Buffer.from('down') } }]);
  node.receive(standby.seal(payload('second')));
  node.take();
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  t.match(sent(node, standby), [{ content: { kind: 'data' } }]);
  t.end();
});

t.test('what is too large for a datagram is refused and counted', (t) => {
  const node = new HandNode({}, 1_200);
  openEpoch(node, payload('first'));
  t.ok(node.machine.handlePayload(ID, Buffer.alloc(1_200 - 29 - 1 - 16), node.now));
  t.notOk(node.machine.handlePayload(ID, Buffer.alloc(1_200 - 29 - 16), node.now));
  t.same(Object.fromEntries(node.machine.counters.unsent), { size: 1 });
  t.end();
});

t.test('a client that moves is asked at its new address, and answered there', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('first'));
  node.take();
  node.receive(epoch.seal(payload('a payload from elsewhere')), MOVED);
  const [probe, receipt] = sent(node, epoch).toSorted((a, b) => b.to.port - a.to.port);
  t.match(probe, { content: { kind: 'probe' }, to: MOVED });
  t.equal(receipt?.to.port, undefined, 'nothing else yet');
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  t.match(sent(node, epoch), [{ content: { kind: 'data' }, to: CLIENT }], 'it is still there');
  const token = probe?.content?.kind === 'probe' ? probe.content.token : TOKEN;
  node.receive(epoch.seal(encodeAnswer(TOKEN)), MOVED);
  node.receive(epoch.seal(encodeAnswer(token)), STRANGER);
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  t.match(sent(node, epoch).at(-1), { to: CLIENT }, 'another token, another address: no answer');
  node.receive(epoch.seal(payload('a payload from elsewhere')), MOVED);
  const again = sent(node, epoch).find(({ to }) => to.port === MOVED.port)?.content;
  node.receive(epoch.seal(encodeAnswer(again?.kind === 'probe' ? again.token : TOKEN)), MOVED);
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  t.match(sent(node, epoch).at(-1), { content: { kind: 'data' }, to: MOVED });
  t.equal(node.machine.counters.moves, 1);
  t.end();
});

t.test('an address that is not proven gets no more bytes than came from it', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('first'));
  node.take();
  let [came, went] = [0, 0];
  for (let index = 0; index < 300; index += 1) {
    const record = epoch.seal(index % 3 === 0 ? encodeProbe(TOKEN) : payload(''));
    node.receive(record, STRANGER).pass(index % 50);
    came += record.length;
    node.run(() => node.machine.handlePayload(ID, Buffer.alloc(900), node.now));
    for (const { bytes, to } of node.take()) if (to.port === STRANGER.port) went += bytes.length;
    if (went > came) t.fail(`${went} bytes for ${came}`);
  }
  t.ok(went > 5_000, `${went} bytes for ${came}`);
  t.end();
});

t.test('who opens from elsewhere than the TAKE went to must be proven first', (t) => {
  const node = new HandNode();

  node.receive(hello(), CLIENT);
  const epoch = new HandEpoch(node.take()[0]!.bytes, counting(3, 16));
  const opening = epoch.opening(payload('x'.repeat(60)));
  node.receive(opening, MOVED);
  t.same(node.payloads(), ['x'.repeat(60)], 'its payload is relayed');
  const went = node.take();
  t.ok(went.every(({ to }) => to === MOVED));
  t.ok(went.reduce((sum, { bytes }) => sum + bytes.length, 0) <= opening.length);
  node.run(() => node.machine.handlePayload(ID, Buffer.alloc(500), node.now));
  t.same(node.take(), []);
  const [probe] = went.flatMap(({ bytes }) => epoch.open(bytes)).filter((c) => c?.kind === 'probe');
  node.receive(epoch.seal(encodeAnswer(probe?.kind === 'probe' ? probe.token : TOKEN)), MOVED);
  node.run(() => node.machine.handlePayload(ID, Buffer.alloc(500), node.now));
  t.equal(node.take().length, 1);
  t.end();
});

t.test('the node where payloads open claims them, once a second, until the record says so', (t) => {
  const node = new HandNode({ owner: 'bravo' });
  const epoch = openEpoch(node, payload('0'));
  t.same(node.kinds(), ['payload', 'claim']);
  for (let index = 0; index < 20; index += 1) node.pass(100).receive(epoch.seal(payload('x')));
  t.equal(node.kinds().filter((kind) => kind === 'claim').length, 2);
  const changed = (owner: string) =>
    node.run(() => node.machine.handleChanged(ID, { ...RECORD, owner }, node.now));
  changed('alpha');
  for (let index = 0; index < 20; index += 1) node.pass(100).receive(epoch.seal(payload('x')));
  t.notOk(node.kinds().includes('claim'));
  t.end();
});

t.test('a former owner lets go a second after the last payload, and keeps its epochs', (t) => {
  const node = new HandNode({ owner: 'alpha' });
  const epoch = openEpoch(node, payload('0'));
  node.kinds();
  node.run(() => node.machine.handleChanged(ID, { ...RECORD, owner: 'bravo' }, node.now));
  node.pass(500).receive(epoch.seal(payload('late')));
  t.same(node.kinds(), ['payload', 'claim'], 'who still serves says so again');
  node.run(() => node.machine.handleChanged(ID, { ...RECORD, owner: 'bravo' }, node.now));
  node.pass(990);
  t.same(node.kinds(), []);
  node.pass(20);
  t.same(node.kinds(), ['let go']);
  t.equal(node.machine.counters.epochs, 1);
  node.take();
  node.receive(epoch.seal(encodeProbe(TOKEN)));
  t.match(sent(node, epoch), [{ content: { kind: 'answer' } }], 'it is a standby');
  node.pass(2_000);
  t.same(sent(node, epoch), [], 'which does not beat');
  t.end();
});

t.test('a renewal that did not know of a claim takes nothing from who claimed', (t) => {
  const node = new HandNode({ owner: 'bravo', claims: 4 });
  const epoch = openEpoch(node, payload('0'));
  const write = (owner: string, claims: number) =>
    node.run(() => node.machine.handleChanged(ID, { ...RECORD, owner, claims }, node.now));
  write('alpha', 5);
  t.same(node.kinds(), ['payload', 'claim']);
  write('bravo', 4);
  node.pass(5_000);
  t.same(node.kinds(), ['claim'], 'no payload comes, and nothing is let go');
  write('alpha', 5);
  node.pass(5_000);
  t.same(node.kinds(), []);
  write('bravo', 4);
  write('alpha', 5);
  node.pass(5_000);
  t.same(node.kinds(), [], 'somebody else has put it right');
  write('bravo', 5);
  node.pass(5_000);
  t.same(node.kinds(), ['let go'], 'of two claims with one count the cache has chosen');
  node.receive(epoch.seal(payload('1')));
  t.same(node.kinds(), ['payload', 'claim']);
  t.end();
});

t.test('claims that are overwritten one after another keep no step with renewals', (t) => {
  const node = new HandNode({ owner: 'bravo' });
  const write = (owner: string, claims: number) =>
    node.run(() => node.machine.handleChanged(ID, { ...RECORD, owner, claims }, node.now));
  openEpoch(node, payload('0'));
  const claimed: number[] = [];
  for (let passed = 0; passed < 8_000; passed += 10) {
    if (node.kinds().includes('claim')) claimed.push(node.now);
    write('alpha', 1);
    write('bravo', 0);
    node.pass(10);
  }
  const spacings = claimed.slice(1).map((at, index) => at - claimed[index]!);
  t.same(spacings, [1_000, 1_100, 1_200, 1_300, 1_400, 1_500]);
  t.end();
});

t.test("an owner renews the record's life while valid records arrive", (t) => {
  const node = new HandNode({ owner: 'alpha', graceMs: 40_000 });
  const epoch = openEpoch(node, payload('0'));
  t.same(node.kinds(), ['payload', 'renew']);
  for (let index = 0; index < 40; index += 1) {
    node.pass(1_000).receive(epoch.seal(encodeProbe(TOKEN)));
  }
  t.same(node.kinds(), ['renew', 'renew', 'renew', 'renew']);
  node.pass(50_000);
  t.same(node.kinds(), [], 'and no more without');
  t.end();
});

t.test('DELETE ends every epoch at once, and says so to the client', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  const standby = openEpoch(node, encodeProbe(TOKEN), MOVED);
  node.take();
  node.kinds();
  node.records.clear();
  node.run(() => node.machine.handleDeleted(ID, node.now));
  const ends = node.take();
  t.match(
    ends.map(({ to }) => to),
    [CLIENT, MOVED],
  );
  t.match(epoch.open(ends[0]!.bytes), [{ kind: 'end', reason: 'deleted' }]);
  t.match(node.events.splice(0), [{ kind: 'ended', reason: 'deleted' }]);
  node.receive(epoch.seal(payload('late'))).receive(standby.seal(encodeProbe(TOKEN, 25)), MOVED);
  t.same([node.events, node.take()], [[], []]);
  t.equal(node.machine.deadline, Infinity);
  t.end();
});

t.test('END of the client ends it, and needs no answer', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  node.kinds();
  node.take();
  node.receive(epoch.seal(encodeEnd('closed')));
  t.match(node.events.splice(0), [{ kind: 'ended', reason: 'closed' }]);
  t.same(node.take(), []);
  t.equal(node.machine.size, 0);
  t.end();
});

t.test('an epoch refuses a sequence that no honest client reaches', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  const record = epoch.seal(payload('x'));
  record.writeUInt32BE(0xffff_ffff, 21);
  node.receive(record);
  t.same(node.dropped(), { authentication: 1 });
  node.receive(epoch.seal(payload('next')));
  t.same(node.payloads(), ['0', 'next']);
  t.end();
});
