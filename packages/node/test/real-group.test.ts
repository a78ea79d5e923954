import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { Node } from '../src/node.ts';
import { Pki } from './pki.ts';
import { settings, SILENT } from './settings.ts';
import { NONE, OURS, PASSWORD, SocksClient } from './socks-client.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const NODES = [1, 2, 3];
const portOf = (index: number) => 21_100 + index;
const ownPortOf = (index: number) => 21_200 + index;

t.test('three nodes over a real group share sessions, logins and their end', async (t) => {
  const pki = new Pki();
  const base = settings(pki);
  const nodes = NODES.map(
    (index) =>
      new Node({
        host: new SystemHost(),
        log: SILENT,
        options: {
          ...base,
          name: `node-${index}`,
          listen: { address: '127.0.0.1', port: portOf(index) },
          group: {
            ...base.group,
            ownPort: ownPortOf(index),
            members: NODES.map((port) => ({ address: '127.0.0.1', port: ownPortOf(port) })),
          },
          authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
        },
      }),
  );
  t.teardown(() => Promise.all(nodes.map((node) => node.stop())));
  await Promise.all(nodes.map((node) => node.start()));
  await until(() => nodes.every((node) => node.views.cluster().members.length === 2));

  const client = await SocksClient.connect(pki, portOf(1), OURS);
  await client.greet(PASSWORD);
  t.equal(await client.login('ada', 'correct'), 0);
  const [session] = await client.tls.sessions(1);
  client.end();
  const open = [];
  for (const index of NODES) {
    const again = await SocksClient.connect(pki, portOf(index), { ...OURS, session: session! });
    t.equal(again.tls.resumed, true, `node ${index}`);
    t.equal(await again.greet(NONE, PASSWORD), NONE);
    open.push(again);
  }
  await until(() => new Set(nodes.map((node) => node.views.cache().digest)).size === 1);
  for (const node of nodes) {
    t.equal(node.views.sessions({ limit: 10 }).length, 5, 'a pair, and one for each resumption');
  }

  await nodes[2]!.reloadUsers(new Map());
  await Promise.all(open.map(({ tls }) => tls.closed()));
  for (const index of NODES) {
    const again = await SocksClient.connect(pki, portOf(index), { ...OURS, session: session! });
    t.equal(again.tls.resumed, false);
    again.end();
  }
});
