import t, { type Test } from 'tap';
import type { Resolve } from '@argyle/host';
import type { FakeNode } from './fake-node.ts';
import {
  application,
  ask,
  connectRequest,
  echo,
  metric,
  settle,
  startClient,
  startEcho,
  startNodesAt,
  take,
  until,
  type ClientChanges,
  type Scene,
} from './scene.ts';

const PORT = 22310;
const ALL = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'];
/** What an address of the name is called. */
const called = (address: string) => `node:${PORT} (${address})`;

interface ClusterView {
  readonly node: string;
  readonly address: string;
  readonly reason: string;
  readonly nodes: readonly {
    readonly endpoint: string;
    readonly address: string;
    readonly state: string;
    readonly connections: number;
  }[];
  readonly names: readonly {
    readonly name: string;
    readonly addresses: readonly string[];
    readonly ageMs: number | null;
    readonly lastError: string | null;
  }[];
}

function viewOf({ client }: Scene): ClusterView {
  return client.views.cluster?.() as ClusterView;
}

function stateOf(scene: Scene, address: string): string | undefined {
  return viewOf(scene).nodes.find(({ endpoint }) => endpoint === called(address))?.state;
}

/** A name server for one client, which says what the test wants it to say. */
class NameServer {
  addresses: readonly string[] | 'silence' | 'failure';
  asked = 0;

  constructor(...addresses: readonly string[]) {
    this.addresses = addresses;
  }

  readonly resolve: Resolve = (_name, signal) => {
    this.asked += 1;
    if (this.addresses === 'failure') return Promise.reject(new Error('SERVFAIL'));
    if (this.addresses !== 'silence') return Promise.resolve(this.addresses);
    const { promise, reject } = Promise.withResolvers<readonly string[]>();
    signal.addEventListener('abort', () => reject(signal.reason));
    return promise;
  };
}

async function startNodes(t: Test, addresses: readonly string[]): Promise<FakeNode[]> {
  return startNodesAt(
    t,
    addresses.map((address) => ({ address, port: PORT })),
  );
}

/** A client of one name. */
function startNamed(t: Test, server: NameServer, changes: ClientChanges = {}): Promise<Scene> {
  const nodes = [{ address: 'node', port: PORT }];
  return startClient(t, [], { nodes, ...changes }, server.resolve);
}

/** One that has resumed at every address, and rests. */
async function startKnown(t: Test, changes: ClientChanges = {}) {
  const nodes = await startNodes(t, ALL);
  const server = new NameServer(...ALL);
  const scene = await startNamed(t, server, changes);
  await until(() => nodes.every(({ resumedHandshakes }) => resumedHandshakes > 0));
  await settle(scene);
  return { nodes, server, scene };
}

t.test('each address of a name is a node: measured, counted and shown by itself', async (t) => {
  const nodes = await startNodes(t, ALL);
  const server = new NameServer(...ALL);
  const scene = await startNamed(t, server);
  await until(() => metric(scene.client, 'client_node_reached') === 4);
  await settle(scene);
  const { nodes: shown, node, address, names } = viewOf(scene);
  t.same(
    shown.map(({ endpoint }) => endpoint),
    ALL.map(called),
  );
  t.ok(shown.every(({ state }) => state === 'reached'));
  t.equal(node, called(ALL[0] ?? ''));
  t.equal(address, `${ALL[0]}:${PORT}`);
  t.match(names, [{ name: 'node', addresses: ALL, lastError: null }]);
  t.ok((shown.find(({ endpoint }) => endpoint === node)?.connections ?? 0) >= 2);
  t.equal(metric(scene.client, 'client_node_reached'), 4);
  t.equal(metric(scene.client, 'client_name_addresses', { name: 'node' }), 4);
  for (const each of ALL) {
    t.ok(metric(scene.client, 'client_handshakes_total', { node: called(each) }) > 0, each);
  }
  const full = nodes.reduce((sum, { fullHandshakes }) => sum + fullHandshakes, 0);
  t.equal(full, 1, 'they are one cluster');
  const serverNames = new Set(nodes.flatMap(({ serverNames }) => serverNames));
  t.same([...serverNames], ['argyle.cluster'], 'whatever they are called');
});

t.test('when an address in use dies the next serves, and it is back when it answers', async (t) => {
  const { nodes, scene } = await startKnown(t, { limits: { retryMs: 100 } });
  const target = await startEcho(t);
  const [first = ''] = ALL;
  const answers: Promise<unknown>[] = [];
  const killed = nodes[0]?.kill('reset');
  for (let request = 0; request < 20; request += 1) {
    answers.push(echo(t, scene.port, target, 'hello'));
  }
  t.same(await Promise.all(answers), Array(20).fill('hello'));
  await killed;
  await until(() => stateOf(scene, first) === 'failed');
  t.equal(metric(scene.client, 'client_node_reached'), 3);
  t.not(viewOf(scene).node, called(first));
  t.match(viewOf(scene).reason, `${called(first)} failed: connection refused`);
  t.equal(metric(scene.client, 'client_failovers_total'), 1);
  await nodes[0]?.start();
  await until(() => stateOf(scene, first) === 'reached');
  t.equal(metric(scene.client, 'client_node_reached'), 4);
  const full = nodes.reduce((sum, { fullHandshakes }) => sum + fullHandshakes, 0);
  t.equal(full, 1, 'it was known everywhere');
});

t.test('where an address left its name tunnels go on, and nothing begins', async (t) => {
  const nodes = await startNodes(t, ALL);
  const [first = '', second = ''] = ALL;
  const server = new NameServer(first, second);
  const scene = await startNamed(t, server);
  await until(() => nodes.slice(0, 2).every(({ resumedHandshakes }) => resumedHandshakes > 0));
  await settle(scene);
  const target = await startEcho(t);
  const old = await application(t, scene.port);
  t.equal(await ask(old, connectRequest(target)), 0);
  t.equal(nodes[0]?.requests.length, 1);

  server.addresses = ALL.slice(2);
  nodes[1]?.sockets.forEach((socket) => socket.end());
  await nodes[1]?.kill();
  await until(() => metric(scene.client, 'client_name_addresses') === 2 && server.asked > 1);
  await until(() => stateOf(scene, ALL[2] ?? '') === 'reached');
  t.equal(stateOf(scene, first), 'leaving');
  t.equal(await echo(t, scene.port, target, 'new'), 'new');
  await settle(scene);
  await until(() => nodes[0]?.open === 1);
  t.equal(nodes[0]?.requests.length, 1, 'only what was there');
  old.write('still');
  t.equal((await take(old, 5))?.toString(), 'still');
  t.equal(viewOf(scene).nodes.find(({ endpoint }) => endpoint === called(first))?.connections, 1);
  old.end();
  await until(() => stateOf(scene, first) === undefined);
  t.equal(nodes[0]?.open, 0, 'it ended with its last tunnel');
  t.equal(metric(scene.client, 'client_failovers_total'), 0);
});

t.test('a name whose every address has changed is found again by a request', async (t) => {
  const [before, after] = [await startNodes(t, ALL.slice(0, 2)), await startNodes(t, ALL.slice(2))];
  const server = new NameServer(...ALL.slice(0, 2));
  const limits = { retryMs: 60_000 };
  const scene = await startNamed(t, server, { limits });
  await settle(scene);
  const target = await startEcho(t);
  await until(() => (viewOf(scene).names[0]?.ageMs ?? 0) > 1_000);
  server.addresses = ALL.slice(2);
  await Promise.all(before.map((node) => node.kill()));
  t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  t.ok(after.some(({ requests }) => requests.length === 1));
  t.same(
    viewOf(scene).nodes.map(({ endpoint }) => endpoint),
    ALL.slice(2).map(called),
  );
});

t.test('name servers that fail change nothing for a cluster that is known', async (t) => {
  const { nodes, server, scene } = await startKnown(t);
  const target = await startEcho(t);
  server.addresses = 'failure';
  await nodes[0]?.kill();
  await until(() => metric(scene.client, 'client_lookups_total', { outcome: 'failed' }) > 0);
  t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  t.equal(viewOf(scene).nodes.length, 4);
  t.equal(metric(scene.client, 'client_name_resolves'), 0);
  t.match(viewOf(scene).names, [{ addresses: ALL, lastError: 'SERVFAIL' }]);
  t.equal(scene.log.filter(({ message }) => message === 'name does not resolve').length, 1);
});

t.test('no request waits for a name server that is silent', async (t) => {
  const { nodes, server, scene } = await startKnown(t);
  const target = await startEcho(t);
  server.addresses = 'silence';
  await nodes[0]?.kill();
  await until(() => server.asked === 2);
  for (let request = 0; request < 20; request += 1) {
    t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  }
  t.equal(metric(scene.client, 'client_lookups_total'), 1, 'it is still being looked up');
});

t.test('a request that comes before the first answer waits for it', async (t) => {
  await startNodes(t, ALL.slice(0, 1));
  const server = new NameServer();
  let tell: () => void = () => undefined;
  const told = new Promise<void>((resolve) => (tell = resolve));
  const nodes = [{ address: 'node', port: PORT }];
  const scene = await startClient(t, [], { nodes }, async (name, signal) => {
    await told;
    return server.resolve(name, signal);
  });
  const target = await startEcho(t);
  const answer = echo(t, scene.port, target, 'early');
  server.addresses = ALL.slice(0, 1);
  t.notOk(scene.client.readiness().ready);
  tell();
  t.equal(await answer, 'early');
});

t.test('a name that nobody knows fails a request at once, and says so', async (t) => {
  const server = new NameServer();
  server.addresses = 'failure';
  const scene = await startNamed(t, server);
  await until(() => metric(scene.client, 'client_lookups_total', { outcome: 'failed' }) > 0);
  const startedAt = performance.now();
  t.equal(await ask(await application(t, scene.port), connectRequest(80)), 1);
  t.ok(performance.now() - startedAt < 900, 'it does not wait for the next look-up');
  t.match(scene.client.readiness().reason, 'no node was reached (node: SERVFAIL)');
  t.equal(viewOf(scene).node, '');
  await startNodes(t, ALL.slice(0, 1));
  server.addresses = ALL.slice(0, 1);
  await until(() => scene.client.readiness().ready);
  t.ok(scene.log.some(({ message }) => message === 'name resolves again'));
});

t.test('a client that stops while a name is looked up ends', async (t) => {
  const server = new NameServer();
  server.addresses = 'silence';
  const scene = await startNamed(t, server);
  const waiting = await application(t, scene.port);
  waiting.write(Buffer.concat([Buffer.from([5, 1, 0]), connectRequest(80)]));
  t.equal((await take(waiting, 2))?.length, 2);
  await scene.client.stop();
  t.equal(server.asked, 1);
});
