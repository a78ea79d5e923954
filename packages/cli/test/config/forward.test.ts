import { join } from 'node:path';
import t from 'tap';
import { loadClientConfig } from '../../src/config/client-config.ts';
import { parseForward } from '../../src/config/forward.ts';
import { rightFolder, wallMs } from '../fixture.ts';
import { addToClient, tellEach } from './wrong.ts';

const WANTED =
  'wanted udp or tcp, a port here and a target, such as udp:127.0.0.1:5300=dns.example:53';

t.test('a forward is a port here and a target', async (t) => {
  const listen = { address: '127.0.0.1', port: 5300 };
  const target = { host: 'dns.example', port: 53 };
  t.same(parseForward('udp:127.0.0.1:5300=dns.example:53'), { protocol: 'udp', listen, target });
  t.same(parseForward('tcp:5300=dns.example:53'), { protocol: 'tcp', listen, target });
  t.same(parseForward('udp:[::1]:5300=[2001:db8::7]:53'), {
    protocol: 'udp',
    listen: { address: '::1', port: 5300 },
    target: { host: '2001:db8::7', port: 53 },
  });
  for (const text of [
    '',
    'udp:5300',
    '5300=dns.example:53',
    'sctp:5300=dns.example:53',
    'udp:=dns.example:53',
    'udp:5300=',
    'udp:5300=dns.example',
    'udp:5300=dns.example:0',
    'udp:65536=dns.example:53',
    'udp:localhost:5300=dns.example:53',
    'udp:::1:5300=dns.example:53',
    'udp:5300=2001:db8::7:53',
    'udp:5300=dns.example:53=again:53',
    'UDP:5300=dns.example:53',
  ]) {
    t.equal(parseForward(text), undefined, text);
  }
});

t.test('a file names as many as it likes', async (t) => {
  const folder = await rightFolder(t);
  const lines = "forwards: [udp:5300=dns.example:53, 'tcp:[::1]:8080=192.0.2.80:80']";
  addToClient(lines)(folder);
  const { options } = loadClientConfig(join(folder, 'client.yaml'), wallMs());
  t.same(
    options.forwards.map(({ protocol, listen }) => [protocol, listen.address, listen.port]),
    [
      ['udp', '127.0.0.1', 5300],
      ['tcp', '::1', 8080],
    ],
  );
});

t.test('how a client carries datagrams is what its file says', async (t) => {
  const folder = await rightFolder(t);
  addToClient(
    'udp: { standbys: 2, resend: { datagrams: 0, age: 50ms }, datagram: 1280B, fallback: false, associations: 7, idle: 5s }',
  )(folder);
  const { options } = loadClientConfig(join(folder, 'client.yaml'), wallMs());
  t.same(options.udp, {
    standbys: 2,
    resend: { datagrams: 0, ageMs: 50 },
    datagramBytes: 1280,
    fallback: false,
    associations: 7,
    idleMs: 5_000,
  });
});

tellEach([
  {
    title: 'a forward without a target',
    kind: 'client',
    spoil: addToClient('forwards: [udp:5300]'),
    told: `client.yaml:9: forwards.0: found "udp:5300", ${WANTED}`,
  },
  {
    title: 'more standbys than there may be',
    kind: 'client',
    spoil: addToClient('udp: { standbys: 3 }'),
    told: 'client.yaml:9: udp.standbys: found 3, wanted a whole number from 0 to 2',
  },
]);
