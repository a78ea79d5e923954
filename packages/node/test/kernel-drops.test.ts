import { DatagramSocket } from '@argyle/host';
import t from 'tap';
import { kernelDrops, readDrops } from '../src/kernel-drops.ts';

const HEAD =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid' +
  '  timeout inode ref pointer drops             ';
const line = (local: string, drops: number, remote = '00000000:0000') =>
  ` 1234: ${local} ${remote} 07 00000000:00000000 00:00000000 00000000` +
  `     0        0 4242 2 0000000000000000 ${drops}         `;

t.test('the drops of one socket are found in the table', async (t) => {
  const table = [HEAD, line('0100007F:0035', 1), line('00000000:0035', 22), ''].join('\n');
  t.equal(readDrops(table, { address: '127.0.0.1', port: 53 }), 1);
  t.equal(readDrops(table, { address: '0.0.0.0', port: 53 }), 22);
  t.equal(readDrops(table, { address: '127.0.0.1', port: 54 }), undefined);
  const ipv6 = line('B80D0120000000000000000001000000:2B48', 333);
  t.equal(readDrops(`${HEAD}\n${ipv6}`, { address: '2001:db8::1', port: 11_080 }), 333);
});

t.test('a client that is connected to the socket is another one', async (t) => {
  const client = line('0100007F:C001', 7, '0100007F:0035');
  const table = [HEAD, client, line('0100007F:0035', 1), ''].join('\n');
  t.equal(readDrops(table, { address: '127.0.0.1', port: 53 }), 1);
});

t.test('the system tells of a real socket', async (t) => {
  for (const address of ['127.0.0.1', '::1', '0.0.0.0', '::']) {
    const socket = await DatagramSocket.open({ address, port: 0 }, { datagram: () => undefined });
    t.equal(kernelDrops(socket.endpoint), process.platform === 'linux' ? 0 : undefined, address);
    socket.close();
  }
});
