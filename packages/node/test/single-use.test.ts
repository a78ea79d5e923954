import t from 'tap';
import { loggedIn, nodes, pki } from './login-fixture.ts';
import { TlsClient } from './tls-client.ts';
import { until } from './until.ts';

t.test('of two resumptions of a single-use session at once never both succeed', async (t) => {
  const once = { sessions: { singleUse: true, holdMs: 2_000 } };
  const [first, second] = await nodes(t, once, once);
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const made = await TlsClient.connect(pki, first.port, { maxVersion });
    const [session] = await made.sessions(1);
    made.end();
    const before = first.cluster.writes;
    first.cluster.hold();
    const both = [first, second].map((node) =>
      TlsClient.connect(pki, node.port, { maxVersion, session: session! }),
    );
    await until(() => first.cluster.writes === before + 2);
    first.cluster.release();
    const clients = await Promise.all(both);
    t.ok(clients.filter(({ resumed }) => resumed).length <= 1, maxVersion);
    for (const { socket } of clients) socket.destroy();
  }
});

t.test('a single-use session is used once, at whichever node', async (t) => {
  const once = { sessions: { singleUse: true } };
  const [first, second] = await nodes(t, once, once);
  const session = await loggedIn(first.port);
  const used = await TlsClient.connect(pki, second.port, { session });
  t.equal(used.resumed, true);
  for (const node of [first, second]) {
    const again = await TlsClient.connect(pki, node.port, { session });
    t.equal(again.resumed, false);
    t.equal(node.count('tls_full_handshakes_total', { reason: 'single-use' }), 1);
    again.end();
  }
  used.end();
});

t.test('a single-use session whose claim is not confirmed is a full handshake', async (t) => {
  const once = { sessions: { singleUse: true, holdMs: 20 } };
  const [first] = await nodes(t, once, once);
  const session = await loggedIn(first.port);
  first.cluster.hold();
  const client = await TlsClient.connect(pki, first.port, { session });
  t.equal(client.resumed, false);
  client.end();
});
