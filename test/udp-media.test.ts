import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { doubled } from './numbered.ts';
import { missing, until } from './real-cluster.ts';
import {
  FRAMES_PER_SECOND,
  GROUP_FRAMES,
  Relay,
  RtpReceiver,
  encodeFilm,
  picturesOf,
  sendFilm,
} from './rtp.ts';
import { UdpCluster } from './udp-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const KILLS = FULL ? 20 : 2;
/** From one kill to the next. */
const SPACING_MS = FULL ? 5_000 : 4_000;
const BEFORE_MS = 2_000;
/** The film ends with this: what a decoder holds back at the end is not looked at. */
const TAIL_SECONDS = 2;
const SECONDS = (BEFORE_MS + KILLS * SPACING_MS) / 1_000 + TAIL_SECONDS;
/** So often the application that watches says something. */
const SAYS_MS = 20;
t.setTimeout(FULL ? 300_000 : 110_000);

const needs = { skip: await missing('ffmpeg') };

t.test('films are seen both ways while the nodes that carry them die', needs, async (t) => {
  const receivers = { up: 0, down: 0 };
  let newest: number | undefined;
  const upTarget = await Relay.open((bytes) => upTarget.send(bytes, receivers.up));
  const downTarget = await Relay.open((_, from) => (newest = from.port));
  const downSource = await Relay.open((bytes) => newest && downTarget.send(bytes, newest));
  const watcher = await Relay.open((bytes) => watcher.send(bytes, receivers.down));
  const relays = [upTarget, downTarget, downSource, watcher];
  t.teardown(() => relays.forEach((relay) => relay.close()));
  let [upPort, downPort] = [0, 0];
  const cluster = await UdpCluster.open(t, (free) => {
    [upPort, downPort] = [free, free + 1];
    // RTCP has the port after each.
    Object.assign(receivers, { up: free + 2, down: free + 4 });
    return [
      `udp:${upPort}=127.0.0.1:${upTarget.port}`,
      `udp:${downPort}=127.0.0.1:${downTarget.port}`,
    ];
  });
  const film = cluster.nodes.file('film.ts');
  await encodeFilm(film, SECONDS);
  const wanted = (await picturesOf(film)).slice(0, -TAIL_SECONDS * FRAMES_PER_SECOND);
  t.equal(new Set(wanted).size, wanted.length, 'no two pictures are alike');

  const up = new RtpReceiver(cluster.nodes.file('up.sdp'), receivers.up);
  const down = new RtpReceiver(cluster.nodes.file('down.sdp'), receivers.down);
  t.teardown(() => Promise.all([up.stop(), down.stop()]));
  const says = setInterval(() => watcher.send(Buffer.from('here'), downPort), SAYS_MS);
  t.teardown(() => clearInterval(says));
  await until('the watcher is known', 10_000, () => newest !== undefined);
  await sleep(500);
  const began = performance.now();
  const senders = [sendFilm(film, upPort), sendFilm(film, downSource.port)];
  t.teardown(() => Promise.all(senders.map((sender) => sender.stop())));
  const kills = await killCarriers(t, cluster, began, [upTarget.port, downTarget.port]);
  t.equal(kills.length, KILLS);
  t.same(await Promise.all(senders.map((sender) => sender.over())), [0, 0], 'both were sent');
  await sleep(1_000);

  const sent = downSource.arrivals.size;
  told(t, 'up', sent, upTarget, kills);
  told(t, 'down', sent, watcher, kills);
  seen(t, 'up', up, wanted);
  seen(t, 'down', down, wanted);
});

/** In turn the node of each target, each at its time while the film goes on. */
async function killCarriers(
  t: Test,
  cluster: UdpCluster,
  began: number,
  targets: readonly number[],
): Promise<readonly number[]> {
  const kills: number[] = [];
  while (kills.length < KILLS) {
    const due = began + BEFORE_MS + kills.length * SPACING_MS;
    await sleep(Math.max(0, due - performance.now()));
    await cluster.prepared();
    const carriers = await Promise.all(targets.map((target) => cluster.carrier(target)));
    const victim = carriers[kills.length % carriers.length] ?? 0;
    process.kill(cluster.pid(victim), 'SIGKILL');
    kills.push(performance.now());
    t.comment(`node-${victim} killed; up by node-${carriers[0]}, down by node-${carriers[1]}`);
    await cluster.nodes.up(3);
  }
  return kills;
}

function told(t: Test, way: string, sent: number, to: Relay, kills: readonly number[]): void {
  const lost = sent - to.arrivals.size;
  const gaps = kills.map((at) => to.gapMs(at).toFixed(0)).join(' ');
  t.comment(
    `${way}: of ${sent} datagrams ${lost} were lost and ${doubled(to.arrivals)} doubled; ` +
      `silences, ms: ${gaps}`,
  );
}

function seen(t: Test, way: string, receiver: RtpReceiver, wanted: readonly string[]): void {
  const { pictures } = receiver;
  const intact = new Set(pictures);
  const damaged = wanted.filter((picture) => !intact.has(picture)).length;
  t.comment(`${way}: ${pictures.length} pictures; of ${wanted.length} are ${damaged} damaged`);
  t.ok(pictures.length >= wanted.length, 'it decodes to the end');
  // What is lost or doubled damages pictures until the next that needs no other, or that one too.
  t.ok(damaged <= KILLS * 2 * GROUP_FRAMES, `${way}: ${damaged} pictures are damaged`);
}
