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
