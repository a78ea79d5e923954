import t from 'tap';
import { ClientHelloReader } from '../src/client-hello.ts';
import { Table } from '../src/tables.ts';
import { captureHello } from './hello-fixture.ts';
import { loggedIn, nodes, pki } from './login-fixture.ts';
import { NONE, OURS, PASSWORD, SocksClient } from './socks-client.ts';
import { TlsClient } from './tls-client.ts';
import { userList } from './users-fixture.ts';

t.test('a removed user is out at every node: his lineage, and his open connections', async (t) => {
  const [first, second, third] = await nodes(t, {}, {}, {});
  const session = await loggedIn(first.port);
  const open = await SocksClient.connect(pki, second.port, { ...OURS, session });
  t.equal(await open.greet(NONE), NONE);
  const beside = await SocksClient.connect(pki, second.port, OURS);
  await beside.greet(PASSWORD);
  await beside.login('bob', 'horse');

  await first.node.reloadUsers(userList(['bob', 'horse']));
  await open.tls.closed();
  t.equal(second.count('connections_cut_total', { reason: 'lineage' }), 1);
  t.equal(beside.tls.socket.destroyed, false, 'others go on');
  for (const node of [first, second, third]) {
    const again = await SocksClient.connect(pki, node.port, { ...OURS, session });
    t.equal(again.tls.resumed, false);
    t.equal(await again.greet(NONE, PASSWORD), PASSWORD);
    again.end();
    t.equal(node.count('tls_full_handshakes_total', { reason: 'revoked' }), 1);
  }
  beside.end();
});

t.test('a login ends with the password that it was made with', async (t) => {
  const [first, second] = await nodes(t, {}, {});
  const session = await loggedIn(first.port);
  // Only the second node has the new list; the lineage is not revoked at the first.
  const [lineage] = second.cache.list(Table.login, 1);
  await second.node.reloadUsers(userList(['ada', 'new'], ['bob', 'horse']));
  await second.cache.delete(Table.revoked, lineage!.key);
  const again = await SocksClient.connect(pki, second.port, { ...OURS, session });
  t.equal(again.tls.resumed, false);
  t.equal(second.count('tls_full_handshakes_total', { reason: 'user' }), 1);
  again.end();
});

t.test('a revoked lineage or session ends open connections everywhere', async (t) => {
  const [first, second] = await nodes(t, {}, {});
  const session = await loggedIn(first.port);
  const one = await SocksClient.connect(pki, second.port, { ...OURS, session });
  const [login] = first.cache.list(Table.login, 1);
  await first.node.revokeLineage(login!.key);
  await one.tls.closed();

  const another = await loggedIn(first.port);
  const two = await SocksClient.connect(pki, second.port, { ...OURS, session: another });
  const hello = await captureHello(pki, another);
  const read = new ClientHelloReader().push(hello);
  t.equal(read.kind, 'hello');
  const id = read.kind === 'hello' ? read.hello.identity : undefined;
  await first.node.revokeSession(id!);
  await two.tls.closed();
  const again = await TlsClient.connect(pki, second.port, { session: another });
  t.equal(again.resumed, false);
  t.equal(second.count('tls_full_handshakes_total', { reason: 'revoked' }), 1);
  t.equal(second.count('connections_cut_total', { reason: 'session' }), 1);
  again.end();
});
