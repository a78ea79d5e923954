/** UDP through a SOCKS5 client that is not ours: PySocks, Debian's python3-socks. */
import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { UdpPeer } from './udp-target.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const PYTHON = '/usr/bin/python3';
const missing = spawnSync(PYTHON, ['-c', 'import socks']).status !== 0;
const base = settings(new Pki());

const PROGRAM = `
import socket, socks, sys
proxy, name, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
s = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
s.set_proxy(socks.SOCKS5, '127.0.0.1', proxy, True, 'ada', 'correct')
s.settimeout(20)
for text in (b'one', b'', b'x' * 1400):
    s.sendto(text, (name, port))
    data, sender = s.recvfrom(65535)
    assert data == b'heard ' + text, data
    print('%s:%d %d' % (sender[0], sender[1], len(data)))
s.close()
`;

t.test('python exchanges datagrams by address and by name', { skip: missing }, async (t) => {
  const { port, count } = await startNode(t, new FakeCluster(), {
    ...base,
    rules: [
      {
        ...{ users: ['ada'], groups: [], commands: ['udp'], names: [], ports: [] },
        ...{ action: 'allow', networks: ['127.0.0.0/8'] },
      },
    ],
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
    socks: { ...base.socks, plainFrom: ['127.0.0.1/32'] },
  });
  for (const name of ['127.0.0.1', 'localhost']) {
    const target = await UdpPeer.open(t);
    const own = target.endpoint.port;
    const python = spawn(PYTHON, ['-c', PROGRAM, `${port}`, name, `${own}`]);
    t.teardown(() => void python.kill());
    const [said, wrong] = [text(python.stdout), text(python.stderr)];
    for (let heard = 1; heard <= 3; heard += 1) {
      const texts = await target.hear(heard);
      target.answer(`heard ${texts[heard - 1]}`);
    }
    t.equal(await wrong, '');
    t.equal(await said, [9, 6, 1_406].map((size) => `127.0.0.1:${own} ${size}\n`).join(''));
  }
  await until(() => count('udp_conventional') === 0);
  t.equal(count('udp_datagrams_total'), 12);
});
