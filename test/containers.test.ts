import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Endpoint } from '@argyle/host';
import t from 'tap';
import { ContainerCluster } from './containers.ts';
import { run, until } from './real-cluster.ts';
import { SocksDatagrams } from './socks-datagrams.ts';

const NODES = 5;
const CONCURRENCY = 8;
const FETCHES_BEFORE = 50;
const FETCHES_AFTER = 150;
const FETCH_SECONDS = 30;
const AWAY_MS = 20_000;
const NOTICED_MS = 15_000;
const STARTED_MS = 60_000;
/** The client looks its nodes' name up every half minute or so. */
const RENAMED_MS = 45_000;
/** Numbered datagrams through the balancer, before a kill and after it. */
const EVERY_MS = 20;
const NUMBERS_BEFORE = 50;
const NUMBERS_AFTER = 300;
const GAP_MAX_MS = 3_000;
const LIST_MODES = `fs.readdirSync('.').map((name) => [name, fs.statSync(name).mode & 0o777])`;
/** A cold build downloads; the scenario itself takes about two minutes. */
t.setTimeout(900_000);

const cluster = await ContainerCluster.open();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    cluster.removeDetached();
    process.exit(1);
  });
}
let target: Endpoint;
t.before(async () => {
  await cluster.build();
  await cluster.up(NODES);
  target = await cluster.serve();
});
t.teardown(async () => {
  await tellFailure();
  await cluster.remove();
});

/** What the containers said, when that matters. */
async function tellFailure(): Promise<void> {
  if (!t.passing()) console.error(await cluster.allLogs().catch(String));
}

interface Fetch {
  readonly began: number;
  readonly ended: number;
  readonly failure: string | undefined;
}

async function fetchOnce(port = cluster.clientPort): Promise<Fetch> {
  const began = Date.now();
  const { code, output } = await run('curl', [
    ...['--socks5-hostname', `127.0.0.1:${port}`, '--max-time', `${FETCH_SECONDS}`],
    ...['--fail', '--silent', '--show-error', `http://${target.address}:${target.port}/`],
  ]);
  const failure = code === 0 && output === 'small' ? undefined : `${code}: ${output.trim()}`;
  return { began, ended: Date.now(), failure };
}

const NOT_RESUMED = { tls_handshakes_total: 'resumed="false"', password_checks_total: '' };

/** Full handshakes and password checks of each. */
function unresumed(ids: readonly string[]): Promise<number[][]> {
  return Promise.all(ids.map((id) => cluster.metrics(id, NOT_RESUMED)));
}

async function resumed(ids: readonly string[]): Promise<number> {
  const wanted = { tls_handshakes_total: 'resumed="true"' };
  const counts = await Promise.all(ids.map((id) => cluster.metrics(id, wanted)));
  return counts.flat().reduce((sum, count) => sum + count, 0);
}

interface ClientView {
  readonly node: string;
  readonly address: string;
  readonly nodes: readonly {
    readonly endpoint: string;
    readonly address: string;
    readonly state: string;
  }[];
}

async function clientView(): Promise<ClientView> {
  const [client = ''] = await cluster.ids('client');
  return cluster.view(client, '/api/v1/cluster');
}

/** The client knows exactly these nodes by their one name, and has reached each of them. */
async function reached(ids: readonly string[], boundMs: number): Promise<number> {
  const addresses = await Promise.all(ids.map((id) => cluster.address(id)));
  const wanted = addresses.map((address) => `node:11080 (${address}) reached`).sort();
  return until(`the client reaches ${ids.length} nodes`, boundMs, async () => {
    const { nodes } = await clientView();
    const found = nodes.map(({ endpoint, state }) => `${endpoint} ${state}`).sort();
    return JSON.stringify(found) === JSON.stringify(wanted);
  });
}

async function settled(ids: readonly string[]): Promise<number> {
  await until(`${ids.length} nodes are ready`, STARTED_MS, async () => {
    return (await Promise.all(ids.map((id) => cluster.ready(id)))).every(Boolean);
  });
  await until('every view is complete', NOTICED_MS, async () => {
    const views = await Promise.all(ids.map((id) => cluster.cluster(id)));
    return views.every(({ view }) => view.members.length === ids.length && !view.alone);
  });
  return until('equal digests', NOTICED_MS, async () => {
    const caches = await Promise.all(ids.map((id) => cluster.cache(id)));
    return new Set(caches.map(({ digest }) => digest)).size === 1;
  });
}

t.test('every compose that is installed takes the file', async (t) => {
  for (const compose of cluster.composes) {
    const version = (await cluster.version(compose)).split('\n')[0] ?? '';
    const all = ['balanced-client', 'balancer', 'client', 'init', 'node'];
    t.same(await cluster.services(compose), all, version);
  }
});

t.test('five nodes find each other, and the client fetches through them', async (t) => {
  const ids = await cluster.ids('node');
  t.equal(ids.length, NODES);
  t.same(await cluster.ids('balancer'), [], 'nobody asked for that');
  await settled(ids);
  const names = await Promise.all(ids.map(async (id) => (await cluster.inspect(id)).Config));
  const { view } = await cluster.cluster(ids[0] ?? '');
  t.same([...view.members].sort(), names.map(({ Hostname }) => Hostname).sort(), 'host names');
  await until('a fetch', STARTED_MS, async () => (await fetchOnce()).failure === undefined);
  await reached(ids, RENAMED_MS);
});

t.test('what runs in them may do little, and is reached by little', async (t) => {
  const [node = ''] = await cluster.ids('node');
  const [client = ''] = await cluster.ids('client');
  for (const id of [node, client]) {
    const { Config, HostConfig, NetworkSettings } = await cluster.inspect(id);
    t.equal(Config.User, '1000:1000');
    t.equal(await cluster.evaluate(id, 'process.getuid()'), 1_000, 'not root');
    t.ok(HostConfig.ReadonlyRootfs);
    t.same(HostConfig.CapDrop, ['ALL']);
    for (const path of ['/here', '/tmp/here', '/var/lib/argyle/here']) {
      const write = `fs.promises.writeFile('${path}', '')`;
      await t.rejects(cluster.evaluate(id, write), /EROFS|EACCES/, path);
    }
    const published = Object.values(NetworkSettings.Ports).flatMap((each) => each ?? []);
    t.ok(published.length > 0);
    for (const { HostIp } of published) t.equal(HostIp, '127.0.0.1');
    await until('healthy', STARTED_MS, async () => {
      return (await cluster.inspect(id)).State.Health?.Status === 'healthy';
    });
  }
  const files = await cluster.evaluate<[string, number][]>(node, LIST_MODES);
  const secrets = ['cluster.key', 'ca.key.pem', 'node.key.pem', 'users.yaml', 'client.yaml'];
  t.same(
    secrets.filter((name) => !files.some(([found]) => found === name)),
    [],
    'all are there',
  );
  for (const [name, mode] of files) t.equal(mode, 0o600, name);
});

t.test('docker kill of the node in use fails only what was in flight there', async (t) => {
  const ids = await cluster.ids('node');
  const { address } = await clientView();
  const addresses = await Promise.all(ids.map(async (id) => `${await cluster.address(id)}:11080`));
  const victim = ids[addresses.indexOf(address)] ?? '';
  t.ok(victim, `${address} is in use`);
  const survivors = ids.filter((id) => id !== victim);
  const before = await unresumed(survivors);
  const resumedBefore = await resumed(survivors);

  const fetches: Fetch[] = [];
  let killing: Promise<void> | undefined;
  let killed = false;
  let after = 0;
  const worker = async () => {
    while (after < FETCHES_AFTER) {
      if (fetches.length >= FETCHES_BEFORE && !killing) {
        killing = cluster.kill(victim).then(() => {
          killed = true;
        });
      }
      if (killed) after += 1;
      fetches.push(await fetchOnce());
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  await killing;

  const { FinishedAt } = (await cluster.inspect(victim)).State;
  const diedAt = Date.parse(FinishedAt);
  const failed = fetches.filter(({ failure }) => failure !== undefined);
  t.same(
    failed.filter(({ began, ended }) => began > diedAt || ended < diedAt - 1_000),
    [],
    'what did not cross the kill succeeded',
  );
  t.ok(failed.length <= CONCURRENCY, `${failed.length} of ${fetches.length} failed`);
  const slowest = Math.max(...fetches.map(({ began, ended }) => ended - began));
  t.comment(`${fetches.length} fetches, ${failed.length} failed, the slowest took ${slowest} ms`);
  const lastBegan = Math.max(...fetches.map(({ began }) => began));
  t.ok(lastBegan > diedAt, 'fetches went on');
  t.same(await unresumed(survivors), before, 'no full handshake, no password check');
  t.ok((await resumed(survivors)) > resumedBefore, 'they resumed');
  const fewerMs = await reached(survivors, RENAMED_MS);
  t.comment(`the client knew ${survivors.length} nodes ${Math.round(fewerMs)} ms later`);
  t.not((await clientView()).address, address);
  await settled(survivors);
});

t.test('a killed node and a sixth are ready with the full cache', async (t) => {
  const [witness = ''] = await cluster.ids('node');
  for (const count of [NODES, NODES + 1]) {
    const known = await cluster.ids('node');
    const { records } = await cluster.cache(witness);
    await cluster.up(count);
    const ids = await cluster.ids('node');
    t.equal(ids.length, count);
    const [joined = ''] = ids.filter((id) => !known.includes(id));
    const readyMs = await until('it is ready', STARTED_MS, () => cluster.ready(joined));
    t.ok(records > 0);
    t.ok((await cluster.cache(joined)).records >= records, 'what was there before it came');
    await settled(ids);
    const caches = await Promise.all(ids.map((id) => cluster.cache(id)));
    t.equal(new Set(caches.map((cache) => cache.records)).size, 1, 'as many records');
    t.comment(`node ${count}: ready ${Math.round(readyMs)} ms after compose, ${records} records`);
  }
  const knownMs = await reached(await cluster.ids('node'), RENAMED_MS);
  t.comment(`the client reached all of them ${Math.round(knownMs)} ms later`);
});

t.test('a node without its network says that it is alone, and returns to its equals', async (t) => {
  const ids = await cluster.ids('node');
  const [away = '', ...others] = [...ids].reverse();
  const name = (await cluster.inspect(away)).Config.Hostname;
  const plugIn = await cluster.unplug(away);
  const leftAt = performance.now();
  const aloneMs = await until('it says that it is alone', NOTICED_MS, async () => {
    const { view } = await cluster.own<{ view: { alone: boolean; members: readonly string[] } }>(
      away,
      '/api/v1/cluster',
    );
    return view.alone && view.members.length === 1;
  });
  t.match(
    (await cluster.logs(away)).split('\n').findLast((line) => line.includes('member gone')),
    /"alone":true/,
    'so does its log',
  );
  await settled(others);
  const { digest } = await cluster.own<{ digest: string }>(away, '/api/v1/cache');
  const [first = ''] = others;
  await cluster.handshake(first);
  t.not((await cluster.cache(first)).digest, digest, 'the others know a session that it does not');
  await until(
    'twenty seconds have passed',
    2 * AWAY_MS,
    () => performance.now() - leftAt > AWAY_MS,
  );
  const still = await cluster.own<{ view: { alone: boolean } }>(away, '/api/v1/cluster');
  t.ok(still.view.alone, 'alone to the end');
  await plugIn();
  const back = performance.now();
  await settled(ids);
  const { view } = await cluster.cluster(others[0] ?? '');
  t.ok(view.members.includes(name));
  t.equal((await fetchOnce()).failure, undefined);
  const healed = Math.round(performance.now() - back);
  t.comment(`alone after ${Math.round(aloneMs)} ms; all equal ${healed} ms after the return`);
  await reached(ids, RENAMED_MS);
});

t.test('behind a balancer, fetches and datagrams go on when a node is killed', async (t) => {
  const ids = await cluster.ids('node');
  await cluster.up(ids.length, { balancer: true });
  const fetchBalanced = () => fetchOnce(cluster.balancedPort);
  await until('a fetch', STARTED_MS, async () => (await fetchBalanced()).failure === undefined);
  const [client = ''] = await cluster.ids('balanced-client');
  const [balancer = ''] = await cluster.ids('balancer');
  const { nodes } = await cluster.own<ClientView>(client, '/api/v1/cluster');
  const only = `balancer:11080 (${await cluster.address(balancer)})`;
  t.same(
    nodes.map(({ endpoint }) => endpoint),
    [only],
    'it knows nothing else',
  );

  const socket = createSocket('udp4').bind();
  await once(socket, 'listening');
  const host = await cluster.address(client);
  const datagrams = await SocksDatagrams.open({ host, port: 1080, socket });
  const sentAt: number[] = [];
  const stream = setInterval(() => {
    datagrams.send(target, String(sentAt.push(performance.now()) - 1));
  }, EVERY_MS);
  t.teardown(() => {
    clearInterval(stream);
    datagrams.close();
  });
  await until('some came back', STARTED_MS, () => datagrams.got.length > NUMBERS_BEFORE);
  const [first = ''] = ids;
  const [row] = await cluster.view<{ owner: string }[]>(first, '/api/v1/associations');
  const victim = ids.find((id) => row && id.startsWith(row.owner)) ?? '';
  const survivors = ids.filter((id) => id !== victim);
  const before = await unresumed(survivors);

  const firstAfter = sentAt.length;
  await cluster.kill(victim);
  const killedAt = Date.now();
  const fetches: Fetch[] = [];
  while (sentAt.length < firstAfter + NUMBERS_AFTER) fetches.push(await fetchBalanced());
  clearInterval(stream);
  const returned = () => new Set(datagrams.got.map(Number));
  await until('the last comes back', GAP_MAX_MS, () => returned().has(sentAt.length - 1));
  const lost = [...sentAt.keys()].filter((number) => !returned().has(number));
  const gapMs = lost.length === 0 ? 0 : (sentAt[lost.at(-1)!] ?? 0) - (sentAt[lost[0]!] ?? 0);
  t.ok(gapMs < GAP_MAX_MS, `${lost.length} of ${sentAt.length} lost, within ${gapMs} ms`);
  const failed = fetches.filter(({ failure }) => failure !== undefined);
  t.same(
    failed.filter(({ began }) => began > killedAt),
    [],
    'each fetch succeeded',
  );
  t.comment(
    `${lost.length} of ${sentAt.length} datagrams lost; ${fetches.length} fetches, the slowest ` +
      `took ${Math.max(...fetches.map(({ began, ended }) => ended - began))} ms`,
  );
  t.same(await unresumed(survivors), before, 'no full handshake, no password check');
});

t.test('nothing of it is left behind', async (each) => {
  await tellFailure();
  await cluster.remove();
  each.same(await cluster.remains(), []);
});
