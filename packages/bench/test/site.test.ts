import { createServer, type AddressInfo } from 'node:net';
import { DatagramSocket } from '@argyle/host';
import t from 'tap';
import { Site, missingPackages } from '../src/site.ts';

const OPTIONS = { seconds: 1, small: true, profile: undefined };
const BASE = 17_850;

t.test(
  'ports that others listen at are passed over, and none is given twice in a row',
  async (t) => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(BASE + 1, '127.0.0.1', resolve));
    t.teardown(() => other.close());
    const { port } = other.address() as AddressInfo;
    await using site = new Site({ ...OPTIONS, portBase: BASE });
    const rows = [await site.ports(2), await site.ports(2), await site.ports(3)];
    for (const [index, first] of rows.entries()) {
      const own = Array.from({ length: index === 2 ? 3 : 2 }, (_, i) => first + i);
      t.notOk(own.includes(port), `${own.join(', ')}: without ${port}`);
    }
    t.equal(new Set(rows).size, rows.length);
  },
);

t.test('a port that somebody has for datagrams is passed over too', async (t) => {
  const options = { address: '127.0.0.1', port: BASE + 20 };
  const socket = await DatagramSocket.open(options, { datagram: () => undefined });
  await using site = new Site({ ...OPTIONS, portBase: BASE + 20 });
  t.equal(await site.ports(1), BASE + 21);
  socket.close();
});

t.test('the package of a program that is missing is named once', (t) => {
  const lacking = { program: 'no-such-program-here', debianPackage: 'absent' };
  const there = { program: 'sh', debianPackage: 'dash' };
  t.same(missingPackages([lacking, there, lacking]), ['absent']);
  t.same(missingPackages([there]), []);
  t.end();
});
