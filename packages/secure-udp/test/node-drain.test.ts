import t from 'tap';
import { encodeData, encodeProbe, encodeReceipt, isReceived } from '../src/content.ts';
import { type SuiteName, SUITES } from '../src/suite.ts';
import { counting, ID } from './fixture.ts';
import { CLIENT, HandNode, hello, openEpoch, sent, STRANGER } from './hand-client.ts';

const payload = (text: string) => encodeData(Buffer.from(text));
const TOKEN = counting(1, 8);

t.test('a draining node says what it relayed, relays nothing more, and repeats it', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  const [one, two, three] = ['1', '2', '3'].map((text) => epoch.seal(payload(text)));
  node.receive(three!).receive(one!);
  node.payloads();
  node.take();
  node.run(() => node.machine.drain(node.now));
  const leaves = () =>
    sent(node, epoch).flatMap(({ content }) =>
      content?.kind === 'leave' ? [content.receipt] : [],
    );
  const [leave] = leaves();
  t.same(
    [0, 1, 2, 3, 4].map((sequence) => isReceived(leave!, sequence)),
    [true, true, false, true, false],
  );
  node.receive(two!);
  t.same(node.payloads(), [], 'what comes later is not relayed');
  t.same(node.dropped(), { left: 1 });
  node.pass(200);
  const repeated = leaves();
  t.ok(repeated.length >= 3);
  for (const each of repeated) t.same(each, leave, 'nor said to be');
  node.run(() => node.machine.handlePayload(ID, Buffer.from('down'), node.now));
  t.match(sent(node, epoch), [{ content: { kind: 'data' } }], 'the target is still heard');
  node.receive(Buffer.concat([epoch.seal(encodeProbe(TOKEN))]));
  t.same(node.kinds(), []);
  node.receive(epoch.seal(encodeReceipt('leave', { highest: 0, bitmap: new Uint8Array(0) })));
  t.same(node.kinds(), ['drained']);
  node.take();
  node.pass(2_000);
  t.same(leaves(), []);
  t.end();
});

t.test('a draining node that forgets has nobody to wait for', (t) => {
  const node = new HandNode();
  openEpoch(node, payload('0'));
  node.kinds();
  node.run(() => node.machine.drain(node.now));
  t.same(node.kinds(), []);
  node.run(() => node.machine.forget());
  t.same(node.kinds(), ['let go', 'drained']);
  t.end();
});

t.test('the last word fits into every datagram, and says as much as that allows', (t) => {
  for (const suite of Object.keys(SUITES) as SuiteName[]) {
    for (const datagramBytes of [576, 1_452]) {
      const node = new HandNode({ suite }, datagramBytes);
      const epoch = openEpoch(node, payload('0'), CLIENT, suite);
      for (let index = 0; index < 9_000; index += 1) epoch.seal(payload('lost'));
      node.receive(epoch.seal(payload('1'))).take();
      node.run(() => node.machine.drain(node.now));
      const [leave] = sent(node, epoch).map(({ content }) => content);
      const bits = leave?.kind === 'leave' ? leave.receipt.bitmap.length * 8 : 0;
      t.ok(datagramBytes === 576 ? bits > 3_800 : bits === 8_184, `${suite}: ${bits} bits`);
    }
  }
  t.end();
});

t.test('the last word says nothing of what the window has passed', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, payload('0'));
  epoch.seal(payload('lost, and 8 192 before the newest'));
  for (let index = 0; index < 8_192; index += 1) node.receive(epoch.seal(payload('came')));
  node.take();
  node.run(() => node.machine.drain(node.now));
  const [leave] = sent(node, epoch).map(({ content }) => content);
  const receipt = leave?.kind === 'leave' ? leave.receipt : undefined;
  t.equal(receipt?.highest, 8_193);
  t.same([isReceived(receipt!, 1), isReceived(receipt!, 10)], [undefined, true]);
  t.end();
});

t.test('a draining node takes nothing over, and waits for nobody who is not there', (t) => {
  const node = new HandNode();
  openEpoch(node, payload('0'));
  node.receive(hello(), STRANGER).take();
  node.kinds();
  node.run(() => node.machine.drain(node.now));
  t.equal(node.machine.offers, 0);
  node.take();
  node.receive(hello(), STRANGER);
  t.same([node.take(), node.dropped()], [[], { draining: 1 }]);
  node.pass(6_000);
  t.same(node.kinds(), ['drained']);
  const idle = new HandNode();
  idle.run(() => idle.machine.drain(idle.now));
  t.same(idle.kinds(), ['drained'], 'at once if there is nobody');
  t.end();
});

t.test('a client that leaves a standby by itself frees it', (t) => {
  const node = new HandNode();
  const epoch = openEpoch(node, encodeProbe(TOKEN));
  node.receive(epoch.seal(encodeReceipt('leave', { highest: 0, bitmap: new Uint8Array(0) })));
  t.equal(node.machine.size, 0);
  t.end();
});
