import t from 'tap';
import type { FakeNode } from './fake-node.ts';
import { createAuthority } from './certificates.ts';
import {
  application,
  ask,
  connectRequest,
  echo,
  metric,
  settle,
  startClient,
  startEcho,
  startNodes,
  until,
  USER,
} from './scene.ts';

const PORTS = [22210, 22211, 22212];
const LABELS = PORTS.map((port) => `127.0.0.1:${port}`);

interface ClusterView {
  readonly node: string;
  readonly reason: string;
  readonly nodes: readonly {
    readonly endpoint: string;
    readonly state: string;
    readonly failures: number;
    readonly lastError: { readonly code: string; readonly cause: string } | null;
  }[];
}

function viewOf(client: { readonly views: Readonly<Record<string, () => unknown>> }): ClusterView {
  return client.views.cluster?.() as ClusterView;
}

function total(nodes: readonly FakeNode[], count: (node: FakeNode) => number): number {
  return nodes.reduce((sum, node) => sum + count(node), 0);
}

t.test('a cold start costs one full handshake and one password check in all', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS, { warmConnections: 4 });
  const target = await startEcho(t);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => echo(t, port, target, `word ${index}`)),
  );
  t.same(
    answers,
    Array.from({ length: 20 }, (_, index) => `word ${index}`),
  );
  t.equal(
    total(nodes, ({ fullHandshakes }) => fullHandshakes),
    1,
  );
  t.equal(
    total(nodes, ({ passwordChecks }) => passwordChecks),
    1,
  );
  t.equal(metric(client, 'client_handshakes_total', { resumed: 'false' }), 1);
  t.equal(metric(client, 'client_logins_total', { by: 'password' }), 1);
  t.ok(metric(client, 'client_logins_total', { by: 'session' }) >= 4);
  t.equal(
    metric(client, 'client_handshakes_total', { protocol: 'TLSv1.3' }),
    metric(client, 'client_handshakes_total'),
  );
});

t.test('sessions are the cluster’s: they resume at nodes that never saw the client', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS);
  await until(() => nodes.every(({ resumedHandshakes }) => resumedHandshakes > 0));
  await settle(scene);
  t.same(
    nodes.map(({ fullHandshakes }) => fullHandshakes),
    [1, 0, 0],
  );
  t.equal(
    metric(scene.client, 'client_handshakes_total', { node: LABELS[1] ?? '', resumed: 'true' }) > 0,
    true,
  );
});

t.test('a request goes over a connection that was there before', async (t) => {
  const [node] = await startNodes(t, PORTS.slice(0, 1));
  const scene = await startClient(t, PORTS.slice(0, 1));
  await settle(scene);
  const warm = [...(node?.sockets ?? [])].map(({ remotePort }) => remotePort);
  t.equal(await echo(t, scene.port, await startEcho(t), 'hello'), 'hello');
  t.ok(warm.includes(node?.requestedBy[0]));
  await settle(scene);
});

for (const how of ['end', 'reset'] as const) {
  t.test(`when the node in use dies (${how}), the next is used before anybody asks`, async (t) => {
    const nodes = await startNodes(t, PORTS);
    const scene = await startClient(t, PORTS);
    await until(() => nodes.every(({ resumedHandshakes }) => resumedHandshakes > 0));
    await settle(scene);
    const [first] = nodes;
    t.equal(viewOf(scene.client).node, LABELS[0]);
    await first?.kill(how);
    await until(() => viewOf(scene.client).node !== LABELS[0]);
    t.match(viewOf(scene.client).reason, new RegExp(`^${LABELS[0]} failed: connection refused, `));
    await settle(scene);
    const target = await startEcho(t);
    t.equal(await echo(t, scene.port, target, 'still here'), 'still here');
    t.equal(metric(scene.client, 'client_failovers_total'), 1);
    t.equal(metric(scene.client, 'client_retries_total'), 0);
    t.equal(
      total(nodes, ({ fullHandshakes }) => fullHandshakes),
      1,
      'survivors only resumed',
    );
    t.equal(
      total(nodes, ({ passwordChecks }) => passwordChecks),
      1,
    );
    await first?.start();
    await until(() => viewOf(scene.client).nodes[0]?.state === 'reached');
    t.ok(scene.log.some(({ message }) => message === 'node answers again'));
  });
}

t.test('a request that was not answered when its node died is answered by the next', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS);
  await settle(scene);
  const [first] = nodes;
  if (first) first.behaviour = 'hold';
  const target = await startEcho(t);
  const socket = await application(t, scene.port);
  const answer = ask(socket, connectRequest(target));
  await until(() => first?.requests.length === 1);
  await first?.kill();
  t.equal(await answer, 0);
  t.equal(
    total(nodes, ({ requests }) => requests.length),
    2,
    'asked twice in all',
  );
  t.equal(metric(scene.client, 'client_retries_total'), 1);
});

t.test(
  'with several requests in flight and more to come, a death costs none of them',
  async (t) => {
    const nodes = await startNodes(t, PORTS);
    const scene = await startClient(t, PORTS);
    await settle(scene);
    const [first] = nodes;
    if (first) first.behaviour = 'hold';
    const target = await startEcho(t);
    const before = Array.from({ length: 10 }, () => echo(t, scene.port, target, 'before'));
    await until(() => first?.requests.length === 10);
    const killed = first?.kill('reset');
    const after = Array.from({ length: 10 }, () => echo(t, scene.port, target, 'after'));
    t.same(await Promise.all(before), Array(10).fill('before'));
    t.same(await Promise.all(after), Array(10).fill('after'));
    await killed;
  },
);

t.test('a node that falls silent costs a request no more than a look at it', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 2));
  const scene = await startClient(t, PORTS.slice(0, 2), { limits: { connectMs: 3_000 } });
  await until(() => nodes.every(({ resumedHandshakes }) => resumedHandshakes > 0));
  await settle(scene);
  const [first] = nodes;
  first?.freeze();
  const target = await startEcho(t);
  const startedAt = performance.now();
  t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  t.ok(performance.now() - startedAt < 2_500, 'long before an attempt at it ends');
  t.equal(metric(scene.client, 'client_hedges_total'), 1);
  await until(() => viewOf(scene.client).node === LABELS[1]);
  await until(() => first?.sockets.size === 0);
});

t.test('a node that falls silent is left when it had its time, and no later', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const limits = { connectMs: 60_000, requestMs: 60_000 };
  const scene = await startClient(t, PORTS, { limits });
  await until(() => nodes.every(({ resumedHandshakes }) => resumedHandshakes > 0));
  await settle(scene);
  const handshakes = () => total(nodes, ({ resumedHandshakes }) => resumedHandshakes);
  const before = handshakes();
  nodes[0]?.freeze();
  const target = await startEcho(t);
  for (let request = 0; request < 20; request += 1) {
    t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  }
  await until(() => viewOf(scene.client).node !== LABELS[0]);
  t.match(viewOf(scene.client).reason, `${LABELS[0]} failed: no sign of life`);
  await settle(scene);
  t.ok(handshakes() - before < 10, 'requests share the connections to the next');
  t.equal(metric(scene.client, 'client_failovers_total'), 1);
});

t.test('a slow destination is asked for once, because its node shows that it lives', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 2));
  const scene = await startClient(t, PORTS.slice(0, 2), { limits: { requestMs: 1_500 } });
  await until(() => nodes.every(({ resumedHandshakes }) => resumedHandshakes > 0));
  await settle(scene);
  for (const node of nodes) node.behaviour = 'hold';
  t.equal(await echo(t, scene.port, 9, 'hello'), 4);
  t.equal(nodes.flatMap(({ requests }) => requests).length, 1);
  t.equal(metric(scene.client, 'client_hedges_total'), 0);
});

t.test('with all nodes dead a request fails at once, and the first to return serves', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS, { limits: { retryMs: 50 } });
  await settle(scene);
  for (const node of nodes) await node.kill();
  await until(() => !scene.client.readiness().ready);
  t.match(scene.client.readiness().reason, /127.0.0.1:22210: connection refused/);
  const target = await startEcho(t);
  const startedAt = performance.now();
  t.equal(await echo(t, scene.port, target, 'hello'), 1);
  t.ok(performance.now() - startedAt < 1_000);
  t.match(viewOf(scene.client).reason, /no node answers/);
  await nodes[2]?.start();
  await until(() => scene.client.readiness().ready);
  t.equal(viewOf(scene.client).node, LABELS[2]);
  t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  t.equal(metric(scene.client, 'client_requests_total', { outcome: 'failed' }), 1);
});

t.test('a client that starts before its cluster is ready once a node is there', async (t) => {
  const scene = await startClient(t, PORTS, { limits: { retryMs: 50 } });
  t.notOk(scene.client.readiness().ready);
  await until(() => scene.log.filter(({ message }) => message === 'node failed').length === 3);
  await startNodes(t, PORTS.slice(1, 2));
  await until(() => scene.client.readiness().ready);
  await settle(scene);
  t.equal(viewOf(scene.client).node, LABELS[1]);
});

t.test('a node that answers nothing costs a request its time and no more', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 1));
  const scene = await startClient(t, PORTS.slice(0, 1), { limits: { requestMs: 100 } });
  await settle(scene);
  for (const node of nodes) node.behaviour = 'hold';
  t.equal(await ask(await application(t, scene.port), connectRequest(80)), 4);
  t.equal(metric(scene.client, 'client_requests_total', { outcome: 'timeout' }), 1);
});

t.test('a certificate of another CA is refused, said once, and said what to check', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 1), { authority: createAuthority('other CA') });
  const scene = await startClient(t, PORTS.slice(0, 1), { limits: { retryMs: 20 } });
  await until(() => (viewOf(scene.client).nodes[0]?.failures ?? 0) >= 3);
  const [shown] = viewOf(scene.client).nodes;
  t.match(shown, { state: 'failed', lastError: { code: 'certificate', cause: /check `ca`/ } });
  t.equal(scene.log.filter(({ level }) => level === 'error').length, 1);
  t.match(scene.client.readiness().reason, /not signed by the cluster's CA/);
  t.equal(await ask(await application(t, scene.port), connectRequest(80)), 1);
  t.equal(
    total(nodes, ({ passwordChecks }) => passwordChecks),
    0,
    'nothing was said to it',
  );
});

t.test('a certificate with another name is refused, though the address is right', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 1), { serverName: 'localhost' });
  const scene = await startClient(t, PORTS.slice(0, 1));
  await until(() => viewOf(scene.client).nodes[0]?.state === 'failed');
  const cause = /not for argyle.cluster: check `serverName`/;
  t.match(viewOf(scene.client).nodes[0], { lastError: { code: 'certificate', cause } });
  t.equal(
    total(nodes, ({ passwordChecks }) => passwordChecks),
    0,
  );
});

t.test('a wrong password is not tried again and again', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const user = { name: USER.name, password: 'wrong' };
  const scene = await startClient(t, PORTS, { user, limits: { retryMs: 60_000 } });
  const target = await startEcho(t);
  const answers = Array.from({ length: 20 }, () => echo(t, scene.port, target, 'hello'));
  t.same(await Promise.all(answers), Array(20).fill(1));
  await until(() => viewOf(scene.client).nodes.every(({ state }) => state === 'failed'));
  t.equal(
    total(nodes, ({ passwordChecks }) => passwordChecks),
    3,
    'once at each node',
  );
  const cause = /refuses the user: check `user.name`/;
  t.match(viewOf(scene.client).nodes[0], { lastError: { code: 'authentication', cause } });
  const said = JSON.stringify([scene.log, viewOf(scene.client), scene.client.metrics()]);
  t.notMatch(said, /wrong|sesame/, 'no password in anything that is shown');
});

t.test('a password that became wrong is checked once, however many need it', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 1));
  const user = { ...USER };
  const limits = { retryMs: 60_000 };
  const scene = await startClient(t, PORTS.slice(0, 1), { user, limits });
  await settle(scene);
  for (const node of nodes) node.options.cluster.loggedIn = false;
  user.password = 'wrong';
  const target = await startEcho(t);
  await Promise.all(Array.from({ length: 20 }, () => echo(t, scene.port, target, 'hello')));
  await until(() => viewOf(scene.client).nodes[0]?.state === 'failed');
  const checks = total(nodes, ({ passwordChecks }) => passwordChecks);
  t.equal(checks, 2, 'the right one and the wrong one');
});

t.test(
  'a client shows its certificate to a node that asks, and is told if it lacks one',
  async (t) => {
    const people = createAuthority('people');
    const changes = { clientCa: people.certificate };
    const [node] = await startNodes(t, PORTS.slice(0, 1), changes);
    const own = people.issue('anna.example');
    const scene = await startClient(t, PORTS.slice(0, 1), { certificate: own });
    await settle(scene);
    t.match(node?.subjects[0], /^anna.example/);
    const { client } = await startClient(t, PORTS.slice(0, 1));
    await until(() => viewOf(client).nodes[0]?.state === 'failed');
    const cause = /refuses this client's certificate/;
    t.match(viewOf(client).nodes[0], { lastError: { code: 'certificate', cause } });
  },
);

t.test('a client without a user is told that it needs one', async (t) => {
  await startNodes(t, PORTS.slice(0, 1));
  const { client } = await startClient(t, PORTS.slice(0, 1), { user: undefined });
  await until(() => viewOf(client).nodes[0]?.state === 'failed');
  t.match(viewOf(client).nodes[0]?.lastError, { code: 'authentication', cause: /check `user`/ });
});

t.test('a session that the cluster does not know any more is dropped', async (t) => {
  const [node] = await startNodes(t, PORTS.slice(0, 1));
  const scene = await startClient(t, PORTS.slice(0, 1));
  await settle(scene);
  const full = () => metric(scene.client, 'client_handshakes_total', { resumed: 'false' });
  t.equal(full(), 1);
  node?.forgetSessions();
  const target = await startEcho(t);
  const renew = async () => {
    for (const socket of node?.sockets ?? []) socket.end();
    t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
    await settle(scene);
  };
  for (let round = 0; round < 5; round += 1) await renew();
  const before = full();
  t.ok(before >= 2);
  await renew();
  t.equal(full(), before, 'new sessions took over');
});

t.test('connections that a node closes for their age cost no request', async (t) => {
  const nodes = await startNodes(t, PORTS.slice(0, 1));
  const scene = await startClient(t, PORTS.slice(0, 1));
  const target = await startEcho(t);
  for (let round = 0; round < 10; round += 1) {
    await settle(scene);
    for (const node of nodes) for (const socket of node.sockets) socket.end();
    t.equal(await echo(t, scene.port, target, 'hello'), 'hello');
  }
  t.equal(metric(scene.client, 'client_failovers_total'), 0);
});
