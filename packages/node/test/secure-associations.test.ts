import t from 'tap';
import { AssociationScene, ID } from './association-scene.ts';

t.test('payloads go through the node that they came to, both ways', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  scene.send('one');
  await scene.pass(50);
  const [alpha, bravo] = scene.nodes;
  t.same(alpha?.handled, ['one']);
  t.same(bravo?.handled, []);
  alpha?.relays[0]?.say('two');
  await scene.pass(5);
  t.same(scene.received, ['two']);
});

t.test('the owner writes itself into the record, with its outgoing port', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  scene.send('one');
  await scene.pass(50);
  const [, bravo] = scene.nodes;
  t.match(bravo?.store.find(ID), { owner: 'alpha', outgoingPort: 40_000 });
});

t.test('a node that dies is followed by another, which asks for the same port', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  scene.send('one');
  await scene.pass(200);
  const [alpha, bravo] = scene.nodes;
  if (!alpha || !bravo) throw new Error('two nodes');
  alpha.alive = false;
  scene.send('two');
  await scene.pass(1_500);
  t.same(bravo.handled, ['two']);
  t.equal(bravo.relays[0]?.request.outgoingPort, 40_000);
  t.equal(bravo.store.find(ID)?.owner, 'bravo');

  // It was only silent: it sees the claim and lets go.
  t.ok(alpha.relays[0]?.closed, 'the former owner closed its socket');
});

t.test('a deletion anywhere ends it everywhere at once', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  scene.send('one');
  await scene.pass(50);
  const [alpha, bravo] = scene.nodes;
  bravo?.associations.end([ID], 'deleted');
  await scene.pass(5);
  await scene.pass(5);
  t.equal(alpha?.store.find(ID), undefined);
  t.ok(alpha?.relays[0]?.closed);
  t.match(scene.events.at(-1), { kind: 'ended', reason: 'deleted' });
});

t.test('nothing opens for a lineage that was revoked', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha']);
  const [alpha] = scene.nodes;
  if (!alpha) throw new Error('one node');
  alpha.revoked.add('01'.repeat(16));
  scene.send('one');
  await scene.pass(500);
  t.same(alpha.handled, []);
  t.equal(alpha.associations.machine.size, 0);
});

t.test(
  'what is served of a revoked lineage ends here, also before its deletion comes',
  async (t) => {
    const scene = await AssociationScene.open(t, ['alpha']);
    scene.send('one');
    await scene.pass(50);
    const [alpha] = scene.nodes;
    alpha?.associations.endLineage(Buffer.alloc(16, 2));
    t.notOk(alpha?.relays[0]?.closed, "another's changes nothing");
    alpha?.associations.endLineage(Buffer.alloc(16, 1));
    await scene.pass(5);
    t.ok(alpha?.relays[0]?.closed);
    t.match(scene.events.at(-1), { kind: 'ended' });
  },
);

t.test('a record that somebody renewed while it was deleted is deleted again', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  const [alpha, bravo] = scene.nodes;
  if (!alpha || !bravo) throw new Error('two nodes');
  scene.cluster.hold();
  alpha.associations.end([ID], 'deleted');
  bravo.store.renew(ID);
  t.ok(bravo.store.find(ID), 'bravo has not heard of it');
  scene.cluster.release();
  await scene.pass(10);
  t.equal(alpha.store.find(ID), undefined);
  t.equal(bravo.store.find(ID), undefined);
});

t.test(
  'a control connection keeps a silent association alive, and nothing else does',
  async (t) => {
    const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
    const [alpha] = scene.nodes;
    if (!alpha) throw new Error('two nodes');
    let closed = 0;
    const control = alpha.associations.control(ID, Buffer.alloc(16, 1), () => (closed += 1));
    const before = scene.cluster.writes;
    for (let minute = 0; minute < 3; minute += 1) {
      for (let part = 0; part < 4; part += 1) scene.host.advance(15_000);
    }
    t.ok(scene.cluster.writes > before, 'it is renewed');
    control.stream.destroy();
    await scene.pass(1);
    t.equal(closed, 1);
    const after = scene.cluster.writes;
    for (let part = 0; part < 12; part += 1) scene.host.advance(15_000);
    t.equal(scene.cluster.writes, after, 'nobody renews it now');
  },
);

t.test('where UDP is blocked, payloads and answers go over the control connection', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha']);
  const [alpha] = scene.nodes;
  if (!alpha) throw new Error('one node');
  const control = alpha.associations.control(ID, Buffer.alloc(16, 1), () => undefined);
  control.stream.write(frame(2, 'over TLS'));
  t.same(alpha.handled, ['over TLS']);
  alpha.relays[0]?.say('answer');
  const answer: unknown = control.stream.read();
  t.same(answer, frame(2, 'answer'));

  scene.send('over UDP');
  await scene.pass(50);
  alpha.relays[0]?.say('also');
  await scene.pass(5);
  t.same(scene.received, ['also'], 'answers follow the newest payload');
});

t.test("a client's end of its control connection deletes the association", async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  const [alpha, bravo] = scene.nodes;
  const control = alpha?.associations.control(ID, Buffer.alloc(16, 1), () => undefined);
  control?.stream.resume().end();
  await scene.pass(5);
  t.equal(bravo?.store.find(ID), undefined);
});

t.test('frames that make no sense break the control connection, not the association', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  const [alpha] = scene.nodes;
  const control = alpha?.associations.control(ID, Buffer.alloc(16, 1), () => undefined);
  control?.stream.write(frame(9, 'what'));
  t.ok(control?.stream.destroyed);
  t.ok(alpha?.store.find(ID));
});

t.test('a drain moves the client, ends the control connection, and deletes nothing', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha', 'bravo']);
  scene.send('one');
  await scene.pass(100);
  const [alpha, bravo] = scene.nodes;
  if (!alpha || !bravo) throw new Error('two nodes');
  const control = alpha.associations.control(ID, Buffer.alloc(16, 1), () => undefined);
  control.stream.resume();
  let drained = false;
  void alpha.associations.drain().then(() => (drained = true));
  await scene.pass(50);
  t.notOk(drained, 'the client has not said its last word');
  control.stream.end(frame(2, 'last'));
  await scene.pass(50);
  t.ok(alpha.handled.includes('last'), 'what came before its end is relayed');
  scene.send('two');
  await scene.pass(2_500);
  t.ok(drained);
  t.same(bravo.handled, ['two']);
  t.ok(bravo.store.find(ID));
});

t.test('who was counted out forgets its epochs, and clients come back', async (t) => {
  const scene = await AssociationScene.open(t, ['alpha']);
  scene.send('one');
  await scene.pass(50);
  const [alpha] = scene.nodes;
  alpha?.associations.forget();
  t.equal(alpha?.associations.machine.size, 0);
  scene.send('two');
  await scene.pass(1_000);
  t.same(alpha?.handled, ['one', 'two']);
});

function frame(kind: number, text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.of(0, body.length + 1, kind), body]);
}
