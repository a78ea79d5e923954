import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { doubled } from './numbered.ts';
import { until } from './real-cluster.ts';
import { UdpCluster } from './udp-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const DATAGRAMS = FULL ? 10_000 : 2_000;
const EVERY_MS = 2;
const GONE_MS = 10_000;
t.setTimeout(FULL ? 300_000 : 110_000);

t.test('a node that is told to stop moves its associations and loses nothing', async (t) => {
  const { target, cluster, stream } = await UdpCluster.openStream(t, EVERY_MS);
  await stream.warmUp();
  stream.start();
  await until('a part is sent', 60_000, () => stream.sentAt.length > DATAGRAMS / 3);
  // Not earlier: on a busy machine it may have moved since.
  const owner = await cluster.prepared();
  const pid = cluster.pid(owner);
  process.kill(pid, 'SIGTERM');
  const tookMs = await until('the node has gone', GONE_MS, () => !isAlive(pid));
  t.comment(`node-${owner} was gone after ${tookMs.toFixed(0)} ms`);
  await until('all are sent', 60_000, () => stream.sentAt.length >= DATAGRAMS);
  stream.stop();
  await until('all are back', 5_000, () => stream.lost.length === 0).catch(() => undefined);
  await sleep(500);
  t.same(stream.lost, [], 'none was lost');
  t.equal(doubled(target.arrivals), 0, 'none came to the target twice');
  t.equal(doubled(stream.returns), 0, 'none came back twice');
  t.equal(target.arrivals.size, stream.sentAt.length);
  const { moves } = (await cluster.view()).udp;
  t.comment(`moves: ${JSON.stringify(moves)}`);
  t.equal(moves['left'], 1, 'it moved because the node said so');
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
