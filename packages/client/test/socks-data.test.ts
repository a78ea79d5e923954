import t from 'tap';
import { encodeSocksDatagram } from '@argyle/secure-udp';
import { dataOf } from '../src/socks-data.ts';

t.test('what a datagram carries follows its header, of whatever kind', async (t) => {
  for (const host of ['192.0.2.1', '2001:db8::1', 'a.example', 'n'.repeat(255)]) {
    const whole = encodeSocksDatagram(host, 53, Buffer.from('data'));
    t.equal(String(dataOf(whole)), 'data', host);
    for (let sizeBytes = 0; sizeBytes < whole.length - 4; sizeBytes += 1) {
      t.equal(dataOf(whole.subarray(0, sizeBytes)), undefined, `${sizeBytes} bytes of ${host}`);
    }
    t.equal(dataOf(whole.subarray(0, -4))?.length, 0);
  }
});

t.test('a fragment, and what is no datagram of SOCKS, carries nothing', async (t) => {
  const whole = encodeSocksDatagram('192.0.2.1', 53, Buffer.from('data'));
  for (const [at, value] of [
    [0, 1],
    [1, 1],
    [2, 1],
    [3, 9],
  ] as const) {
    const spoilt = Buffer.from(whole);
    spoilt[at] = value;
    t.equal(dataOf(spoilt), undefined, `byte ${at}`);
  }
});
