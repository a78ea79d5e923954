import t from 'tap';
import { Cache } from '@argyle/cache';
import { Random } from '@argyle/simulator';
import { RecordFlow } from '../src/record-flow.ts';

t.test('records flow no faster than the link drains and the receiver can take them', (t) => {
  const random = new Random(1);
  const cache = new Cache({
    capacityBytes: 2 * 1024 * 1024,
    digestKey: random.bytes(16),
    random: (sizeBytes) => random.bytes(sizeBytes),
    tombstoneSkewMs: 0,
  });
  const version = new Uint8Array(16).fill(1);
  for (let key = 0; key < 1_000; key += 1) {
    cache.put(1, Buffer.from(String(key)), new Uint8Array(300), 1e6, version, 0);
  }
  const flow = new RecordFlow(cache, new Uint8Array(32).fill(255));
  const taken = [flow.next(0, 0)?.length ?? 0];
  t.equal(flow.next(0, 0), undefined, 'one at a time');
  const second = flow.deadline;
  t.ok(second > 0 && second < 10);
  taken.push(flow.next(second, 0)?.length ?? 0);
  t.equal(flow.deadline, Infinity, 'until the link has drained');
  t.equal(flow.next(1_000, 0), undefined);
  for (let now = second; !flow.ended; now = flow.deadline) {
    flow.drained();
    taken.push(flow.next(Math.max(now, flow.deadline), 0)?.length ?? 0);
  }
  t.equal(
    taken.reduce((sum, count) => sum + count, 0),
    1_000,
  );
  t.end();
});
