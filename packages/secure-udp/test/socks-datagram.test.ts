import t from 'tap';
import {
  decodeSocksDatagram,
  encodeSocksDatagram,
  socksHeaderBytes,
} from '../src/socks-datagram.ts';

const DATA = Buffer.from('data');

t.test('a datagram reads as RFC 1928 §7 draws it', async (t) => {
  const ipv4 = encodeSocksDatagram('192.0.2.1', 53, DATA);
  t.equal(ipv4.toString('hex'), '000000' + '01c0000201' + '0035' + '64617461');
  const ipv6 = encodeSocksDatagram('2001:db8::1', 53, DATA);
  t.equal(
    ipv6.toString('hex'),
    '000000' + '0420010db8000000000000000000000001' + '0035' + '64617461',
  );
  const name = encodeSocksDatagram('example.org', 53, DATA);
  t.equal(name.toString('hex'), '000000' + '030b6578616d706c652e6f7267' + '0035' + '64617461');
});

t.test('what is written is read', async (t) => {
  for (const host of ['192.0.2.1', '2001:db8:0:0:0:0:0:1', 'example.org', 'x'.repeat(255)]) {
    const read = decodeSocksDatagram(encodeSocksDatagram(host, 65_535, DATA));
    t.same(read, { fragment: 0, last: false, host, port: 65_535, data: DATA });
    const bytes = encodeSocksDatagram(host, 65_535, DATA);
    t.equal(socksHeaderBytes(bytes), bytes.length - DATA.length);
  }
  t.throws(() => encodeSocksDatagram('x'.repeat(256), 1, DATA), RangeError);
});

t.test('a fragment tells its place, and whether it is the last', async (t) => {
  const bytes = encodeSocksDatagram('192.0.2.1', 53, DATA);
  bytes[2] = 0x83;
  t.match(decodeSocksDatagram(bytes), { fragment: 3, last: true });
  bytes[2] = 0x7f;
  t.match(decodeSocksDatagram(bytes), { fragment: 127, last: false });
});

t.test('what is cut short, or of no known kind, is refused at every byte', async (t) => {
  for (const host of ['192.0.2.1', '2001:db8::1', 'example.org']) {
    const whole = encodeSocksDatagram(host, 53, Buffer.alloc(0));
    for (let size = 0; size < whole.length; size += 1) {
      const cut = whole.subarray(0, size);
      t.equal(decodeSocksDatagram(cut), 'truncated', `${host}, ${size} bytes`);
      t.equal(socksHeaderBytes(cut), 'truncated');
    }
  }
  const reserved = encodeSocksDatagram('192.0.2.1', 53, DATA);
  reserved[1] = 1;
  t.equal(decodeSocksDatagram(reserved), 'reserved');
  t.equal(socksHeaderBytes(reserved), 'reserved');
  for (const type of [0, 2, 5, 255]) {
    const other = encodeSocksDatagram('192.0.2.1', 53, DATA);
    other[3] = type;
    t.equal(decodeSocksDatagram(other), 'address-type');
    t.equal(socksHeaderBytes(other), 'address-type');
  }
});
