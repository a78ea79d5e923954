import { SystemHost } from '@argyle/host/system';
import multicastDns from 'multicast-dns';
import t from 'tap';
import { Discovery } from '../src/discovery.ts';

const host = new SystemHost();
const OURS = '00112233aabbccdd';
const FOREIGN = 'ffffffffffffffff';

interface Seeker {
  readonly discovery: Discovery;
  readonly found: Set<string>;
}

function seek(name: string, clusterId: string, port: number): Seeker {
  const found = new Set<string>();
  const discovery = new Discovery({
    host,
    clusterId,
    name,
    own: { address: '127.0.0.1', port },
    found: ({ address, port: at }) => found.add(`${address}:${at}`),
    failed: (error) => t.fail(error.message),
  });
  return { discovery, found };
}

function until(condition: () => boolean): Promise<void> {
  const end = host.now() + 5_000;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (condition()) resolve();
      else if (host.now() > end) reject(new Error('not within 5 s'));
      else host.after(5, look);
    };
    look();
  });
}

const closed = (seekers: Seeker[]) =>
  Promise.all(seekers.map(({ discovery }) => new Promise<void>((end) => discovery.close(end))));

t.test('members of one cluster find each other, and nobody of another', async (t) => {
  const alpha = seek('alpha', OURS, 24_911);
  const bravo = seek('a name. with dots', OURS, 24_912);
  const foreign = seek('alpha', FOREIGN, 24_913);
  await until(() => alpha.found.size > 0 && bravo.found.size > 0);
  const other = seek('other', FOREIGN, 24_914);
  await until(() => foreign.found.size > 0 && other.found.size > 0);
  t.same([...alpha.found], ['127.0.0.1:24912']);
  t.same([...bravo.found], ['127.0.0.1:24911']);
  t.same([...foreign.found], ['127.0.0.1:24914']);
  await closed([alpha, bravo, foreign, other]);
});

t.test('answers with nonsense in them are passed over', async (t) => {
  const alpha = seek('alpha', OURS, 24_911);
  const liar = multicastDns({ interface: '127.0.0.1', bind: '0.0.0.0', reuseAddr: true });
  const instance = `liar.${OURS}._argyle._udp.local`;
  await until(() => {
    liar.respond({
      answers: [
        { name: instance, type: 'SRV', data: { port: 0, target: 'x.local' } },
        { name: instance, type: 'TXT', data: 'port=24911' },
        { name: instance, type: 'A', data: '198.18.0.1' },
        { name: instance, type: 'SRV', data: { port: 24_915, target: 'elsewhere.local' } },
      ],
    });
    return alpha.found.size > 0;
  });
  t.same([...alpha.found], ['127.0.0.1:24915'], 'at the address that said so, and nowhere else');
  await new Promise<void>((end) => liar.destroy(end));
  await closed([alpha]);
});
