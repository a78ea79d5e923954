import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { SystemHost } from '@argyle/host/system';
import { LocalReplica, type LocalReplicaOptions } from '../src/local-replica.ts';

const silent = () => undefined;

const options: LocalReplicaOptions = {
  host: new SystemHost(),
  log: { debug: silent, info: silent, warn: silent, error: silent },
  name: 'alpha',
  group: {
    clusterKey: new Uint8Array(32).fill(1),
    address: { address: '239.192.0.8', port: 24_801 },
    interfaceAddress: '127.0.0.1',
    ownPort: 0,
    multicastTtl: 0,
    segmentBytes: 1400,
    transport: 'auto',
    mdns: false,
    members: [],
  },
  cache: { capacityBytes: 1024 * 1024 },
  stateChanged: silent,
  failed: silent,
};

t.test('closing a replica that has not yet started ends its start', async (t) => {
  const replica = new LocalReplica(options);
  const started = replica.start();
  await Promise.all([t.rejects(started, { code: 'closed' }), replica.close()]);
});

t.test('an interface that is not there fails the start, and closing still ends', async (t) => {
  const group = { ...options.group, interfaceAddress: '198.18.255.254' };
  const replica = new LocalReplica({ ...options, group });
  await t.rejects(replica.start(), { code: 'EADDRNOTAVAIL' });
  await replica.close();
});

t.test('who is named by a name is greeted at its address', async (t) => {
  const member = createSocket('udp4');
  member.bind(0, '127.0.0.1');
  await once(member, 'listening');
  const asked: string[] = [];
  const resolve = async (name: string) => {
    asked.push(name);
    return ['127.0.0.1'];
  };
  const members = [{ address: 'members.example', port: member.address().port }];
  const replica = new LocalReplica({ ...options, group: { ...options.group, members }, resolve });
  await Promise.all([once(member, 'message'), replica.start()]);
  t.same(asked, ['members.example']);
  t.same(replica.status().counters.unfound, [
    { way: 'dns', count: 0 },
    { way: 'mdns', count: 0 },
  ]);
  await replica.close();
  member.close();
});

t.test('a name without an answer is counted, logged once, and ends nothing', async (t) => {
  const warned: object[] = [];
  const log = { ...options.log, warn: (fields: object) => warned.push(fields) };
  const resolve = () => Promise.reject(new Error('nobody knows the name'));
  const members = [{ address: 'members.example', port: 13_081 }];
  const group = { ...options.group, members };
  const replica = new LocalReplica({ ...options, log, group, resolve });
  await replica.start();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(warned, [{ member: 'members.example', error: 'nobody knows the name' }]);
  t.same(replica.status().counters.unfound[0], { way: 'dns', count: 1 });
  await replica.close();
});

t.test('without multicast two replicas that know of each other write to each other', async (t) => {
  const members = [24_811, 24_812].map((port) => ({ address: '127.0.0.1', port }));
  const replicas = members.map(({ port }, index) => {
    const group = { ...options.group, ownPort: port, transport: 'unicast' as const, members };
    return new LocalReplica({ ...options, name: `member-${index}`, group });
  });
  await Promise.all(replicas.map((replica) => replica.start()));
  const [alpha, bravo] = replicas;
  const together = () =>
    replicas.every((replica) => replica.ready && replica.status().members.length === 1);
  while (!together()) await new Promise((resolve) => setImmediate(resolve));
  const expiresAt = Date.now() + 60_000;
  t.same(await alpha?.add(1, Buffer.from('key'), Buffer.from('value'), expiresAt), { members: 1 });
  t.equal(Buffer.from(bravo?.get(1, Buffer.from('key'))?.value ?? []).toString(), 'value');
  const [member] = alpha?.status().members ?? [];
  t.match(member, { heardBy: ['unicast'], hearsUsBy: ['unicast'], reachedBy: 'unicast' });
  t.equal(alpha?.status().counters.ownLost, 0);
  await Promise.all(replicas.map((replica) => replica.close()));
});
