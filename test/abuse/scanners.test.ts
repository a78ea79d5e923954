/** A port scanner's first words, at a node's port and at a client's. */
import t from 'tap';
import { AbusedCluster } from './abused-cluster.ts';
import { Echo, visitClient, visitNode } from './good-client.ts';
import { hello } from './hello-shape.ts';
import { nonZero, Tally } from './metrics.ts';
import { survives } from './ordeal.ts';
import { Peer, type Ending } from './peer.ts';

const SCANNERS: Readonly<Record<string, Buffer>> = {
  HTTP: text('GET / HTTP/1.0\r\n\r\n'),
  'a proxy request': text('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n'),
  'HTTP/2': text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  SSH: text('SSH-2.0-OpenSSH_9.6\r\n'),
  RDP: hex('0300002f2ae00000000000436f6f6b69653a206d737473686173683d6e6d61700d0a0100080003000000'),
  SMB: hex('000000a4ff534d4272000000000801400000000000000000000000000000400600000100'),
  'SMB 2': hex('000000acfe534d42400001000000000000001f0000000000000000000000000000000000'),
  RTSP: text('OPTIONS / RTSP/1.0\r\n\r\n'),
  SIP: text('OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm;branch=foo\r\n\r\n'),
  DNS: hex('001e0006010000010000000000000776657273696f6e0462696e640000100003'),
  LDAP: hex('300c020101600702010304008000'),
  X11: hex('6c000b000000000000000000'),
  Kerberos: hex('00000071 6a81 6e30 816ba103020105a20302010a'.replaceAll(' ', '')),
  lines: text('\r\n\r\n'),
  HELP: text('HELP\r\n'),
  zeros: Buffer.alloc(64),
  'many zeros': Buffer.alloc(100_000),
  ones: Buffer.alloc(64, 0xff),
  SOCKS4: hex('0401005000000001726f6f7400'),
  SOCKS4a: hex('0401005000000001006578616d706c652e6f726700'),
  'SOCKS5 in clear': hex('050100'),
  'SOCKS5 in clear with a request': hex('050100050100017f0000010050'),
  'a TLS alert': hex('15030100020228'),
  'TLS data': hex('170303000501020304ff'),
  'a ChangeCipherSpec': hex('140303000101'),
  SSLv2: hex('802e0100020015000000100100800200800300800400800500800600400700c00000'),
  'a record of version 2': hex('1602000010'.padEnd(42, '0')),
  DTLS: hex('16feff00000000000000000036010000'),
  'an empty handshake record': hex('1603010000'),
  'a handshake record too long': hex('1603014001' + '00'.repeat(20)),
  'a ServerHello': hex('160303002e0200002a0303' + '11'.repeat(32) + '0013010000020000'),
  'a hello too long': hex('160301400001ffffff' + '00'.repeat(40)),
};

/** What a node counts when it is not that the first byte is not one of TLS. */
const REASONS: Readonly<Record<string, string>> = {
  'SOCKS5 in clear': 'plain',
  'SOCKS5 in clear with a request': 'plain',
  'an empty handshake record': 'malformed',
  'a handshake record too long': 'malformed',
  'a ServerHello': 'not-hello',
  'a hello too long': 'too-long',
};
const HEARTBLEED = hex('1803020003014000');

const cluster = await AbusedCluster.open();
const node = await cluster.node();
const client = await cluster.client();
const echo = await Echo.open();
const atNode = { process: node, visit: () => visitNode(cluster, echo.port) };
const atClient = { process: client, visit: () => visitClient(cluster, echo.port) };
t.setTimeout(90_000);
t.teardown(() => cluster.close());
t.teardown(() => echo.close());

t.test('at a node’s port', async (t) => {
  const expected = new Tally();
  const [counted] = await survives(t, [atNode], async () => {
    for (const [name, bytes] of Object.entries(SCANNERS)) {
      expected.add(REASONS[name] ?? 'not-tls');
      await refused(cluster.nodePort, bytes);
    }
    // Behind a hello it is the library that refuses.
    for (const after of [HEARTBLEED, SCANNERS['HTTP']!, SCANNERS['a TLS alert']!]) {
      expected.add('handshake');
      await refused(cluster.nodePort, Buffer.concat([await hello({}), after]));
    }
    // A scanner that only looks whether the port is open.
    for (const ending of ['fin', 'reset'] as const) {
      expected.add('closed');
      await looks(cluster.nodePort, ending);
    }
  });
  const reasons = nonZero(counted!.by('connections_refused_total'));
  t.comment('refused: ', JSON.stringify(reasons));
  t.same(reasons, expected.counts);
});

t.test('at a client’s port', async (t) => {
  const expected = new Tally();
  const [, counted] = await survives(t, [atNode, atClient], async () => {
    for (const [name, bytes] of Object.entries(SCANNERS)) {
      if (name.startsWith('SOCKS5')) continue;
      expected.add('malformed');
      await refused(cluster.clientPort, bytes);
    }
    expected.add('malformed');
    await refused(cluster.clientPort, await hello({}));
    for (const ending of ['fin', 'reset'] as const) {
      expected.add('abandoned');
      await looks(cluster.clientPort, ending);
    }
  });
  // The good client that came after it.
  expected.add('connected');
  const outcomes = nonZero(counted!.by('client_requests_total'));
  t.comment('outcomes: ', JSON.stringify(outcomes));
  t.same(outcomes, expected.counts);
});

t.test('and then it stops as it should', async (t) => {
  t.same(await cluster.close(), [0, 0]);
});

/** The process ends it, and the scanner stays until it does. */
async function refused(port: number, bytes: Buffer): Promise<void> {
  const peer = await Peer.tcp(port);
  peer.send(bytes);
  await peer.leave('silence');
}

async function looks(port: number, ending: Ending): Promise<void> {
  await (await Peer.tcp(port)).leave(ending);
}

function text(words: string): Buffer {
  return Buffer.from(words);
}

function hex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}
