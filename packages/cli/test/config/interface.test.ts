import { readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { carriedBytes, interfaceAddress, segmentBytes } from '../../src/config/interface.ts';
import { loadNodeConfig } from '../../src/config/node-config.ts';
import { rightFolder, wallMs } from '../fixture.ts';

const LINUX = process.platform === 'linux';

t.test('an interface is told by its address or its name', async (t) => {
  t.equal(interfaceAddress('192.0.2.1'), '192.0.2.1');
  t.equal(interfaceAddress('no-such-interface'), undefined);
});

t.test('a segment is as large as its interface carries', async (t) => {
  t.equal(segmentBytes('127.0.0.1'), 60 * 1_024);
  t.equal(segmentBytes('192.0.2.1'), 1_400, 'of an interface that is not there');
  t.equal(carriedBytes('192.0.2.1'), undefined);
  for (const one of Object.values(networkInterfaces()).flat()) {
    if (!one || one.internal || one.family !== 'IPv4') continue;
    const carried = carriedBytes(one.address) ?? 1_400;
    t.equal(segmentBytes(one.address), Math.min(1_400, carried), one.address);
  }
  const carried = carriedBytes('127.0.0.1');
  const mtu = () => Number(readFileSync('/sys/class/net/lo/mtu', 'ascii'));
  t.equal(carried, LINUX ? mtu() - 28 : undefined);
});

t.test('a segment that its interface must cut is warned of', { skip: !LINUX }, async (t) => {
  const folder = await rightFolder(t);
  const file = join(folder, 'node-1.yaml');
  const name = Object.entries(networkInterfaces()).find(([, addresses = []]) =>
    addresses.some(({ internal, family }) => !internal && family === 'IPv4'),
  )?.[0];
  const with60 = `group: { clusterKey: cluster.key, interface: ${name ?? 'lo'}, segment: 60KiB }`;
  const said = readFileSync(file, 'utf8').replace(/^group:\n(?: +.*\n)+/m, `${with60}\n`);
  writeFileSync(file, said);
  const { warnings } = loadNodeConfig(file, wallMs());
  if (name === undefined) t.same(warnings, []);
  else t.match(warnings, [/group\.segment is 61440B, and the interface with \S+ carries \d+B/]);
});
