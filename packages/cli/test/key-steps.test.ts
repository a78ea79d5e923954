import t from 'tap';
import { keyId, soleKey } from '@argyle/multicast';
import type { DatedRing } from '../src/config/key-ring.ts';
import { checkStep, nextStep, stepped, toldStep } from '../src/key-steps.ts';
import { unready } from '../src/key-survey.ts';

const OLD = new Uint8Array(32).fill(1);
const NEW = new Uint8Array(32).fill(2);
const MADE = Date.UTC(2026, 10, 23);
const first: DatedRing = { ...soleKey(OLD), madeAtMs: [MADE] };
const next = (ring: DatedRing, nowMs = MADE + 1_000) => stepped(ring, () => NEW, nowMs);

t.test('three steps replace a key: added, promoted, the old one removed', (t) => {
  const added = next(first);
  const promoted = next(added);
  const removed = next(promoted);
  t.same([first, added, promoted, removed].map(nextStep), ['add', 'promote', 'remove', 'add']);
  t.same(
    [added, promoted, removed].map(({ keys }) => keys),
    [[OLD, NEW], [NEW, OLD], [NEW]],
  );
  const [old, fresh] = [keyId(OLD), keyId(NEW)];
  t.equal(toldStep(first, added), `added key ${fresh}: it opens, ${old} seals`);
  t.equal(toldStep(added, promoted), `promoted key ${fresh}: it seals, ${old} opens`);
  t.equal(toldStep(promoted, removed), `removed all but key ${fresh}`);
  for (const { clusterId, digestKey } of [added, promoted, removed]) {
    t.same([clusterId, digestKey], [first.clusterId, first.digestKey], 'the identity stays');
  }
  t.end();
});

t.test('the steps come in order though the clock was set back', (t) => {
  const added = next(first, MADE - 1_000_000);
  t.equal(nextStep(added), 'promote');
  t.equal(nextStep(next(added)), 'remove');
  t.end();
});

t.test('another step than the next one is refused', (t) => {
  t.equal(checkStep(undefined, first), 'add');
  t.equal(checkStep('add', first), 'add');
  t.throws(() => checkStep('promote', first), { message: /found "promote", wanted "add"/ });
  t.end();
});

t.test('who would be cut off by a step is named', (t) => {
  const [old, fresh] = [keyId(OLD), keyId(NEW)];
  const rings = new Map([
    ['node-1', [old]],
    ['node-2', [old, fresh]],
    ['node-3', [fresh, old]],
  ]);
  const survey = { rings, silent: [] };
  t.same(unready('promote', fresh, survey), [`node-1 has no key ${fresh} yet`]);
  t.same(unready('remove', fresh, survey), [
    `node-1 seals with ${old} still`,
    `node-2 seals with ${old} still`,
  ]);
  t.same(unready('add', fresh, survey), []);
  t.end();
});
