/** Conventional associations with time that stands still, and relays that only listen. */
import type { Endpoint, Log } from '@argyle/host';
import { ManualHost } from '@argyle/host/manual-host';
import t from 'tap';
import {
  ConventionalAssociations,
  type ConventionalGrant,
  type ConventionalRequest,
} from '../src/conventional-associations.ts';
import { UdpCounters } from '../src/udp-counters.ts';
import type { RelayRequest, UdpRelay } from '../src/udp-relay.ts';
import { SILENT } from './settings.ts';
import { to } from './udp-target.ts';

const IDLE_MS = 300_000;
const CLIENT = { address: '192.0.2.9', port: 9_000 };
const TARGET = { address: '198.51.100.1', port: 53 };

class Relay {
  readonly request: RelayRequest;
  handled = 0;
  closed = false;
  readonly outgoingPort = 40_000;

  constructor(request: RelayRequest) {
    this.request = request;
  }

  handle(): void {
    this.handled += 1;
  }

  close(): void {
    this.closed = true;
  }
}

function scene({ clear = false, addresses = [] as readonly string[] } = {}) {
  const host = new ManualHost();
  const counters = new UdpCounters();
  const relays: Relay[] = [];
  const sent: Endpoint[] = [];
  const warned: string[] = [];
  const log: Log = { ...SILENT, warn: (_fields, text) => warned.push(String(text)) };
  const associations = new ConventionalAssociations({
    ...{ host, log, counters },
    options: { clear, addresses, associations: 8, associationsPerAddress: 8, idleMs: IDLE_MS },
    relays: {
      open: (request) => {
        const relay = new Relay(request);
        relays.push(relay);
        return relay as unknown as UdpRelay;
      },
    },
    send: (_bytes, endpoint) => sent.push(endpoint),
  });
  associations.listening(1_080);
  const begin = (change: Partial<ConventionalRequest> = {}) =>
    associations.begin({
      ...{ user: 'ann', groups: () => [], address: CLIENT.address, localAddress: '192.0.2.1' },
      ...{ secured: false, port: 0 },
      ...change,
    });
  return { host, associations, counters, relays, sent, warned, begin };
}

function granted(answer: ConventionalGrant | string): ConventionalGrant {
  if (typeof answer === 'string') throw new Error(answer);
  return answer;
}

t.test('datagrams keep it, either way, and their absence ends it', async (t) => {
  const { host, associations, counters, relays, begin } = scene();
  const { stream } = granted(begin());
  host.advance(IDLE_MS - 1);
  associations.handleDatagram(to(TARGET, 'x'), CLIENT);
  host.advance(IDLE_MS - 1);
  relays[0]?.request.received(Buffer.alloc(0));
  host.advance(IDLE_MS - 1);
  t.equal(stream.destroyed, false);
  host.advance(1);
  t.equal(stream.destroyed, true);
  await new Promise(setImmediate);
  t.same([associations.size, relays[0]?.closed, host.armed], [0, true, 0]);
  t.equal(counters.conventional.count(['idle']), 1);
  t.equal(counters.conventional.count(['ended']), 1);
});

t.test('answers go to where the client is, and nowhere before it is known', async (t) => {
  const { associations, relays, sent, begin } = scene();
  begin();
  relays[0]?.request.received(Buffer.alloc(10));
  t.same(sent, []);
  associations.handleDatagram(to(TARGET, 'x'), CLIENT);
  relays[0]?.request.received(Buffer.alloc(10));
  t.same(sent, [CLIENT]);
});

t.test('the refusal of datagrams in clear is said once', async (t) => {
  const { counters, warned, begin } = scene();
  t.same([begin({ secured: true }), begin({ secured: true })], ['clear', 'clear']);
  t.match(warned, [/socks\.udp\.clear/]);
  t.equal(warned.length, 1);
  t.equal(counters.conventional.count(['clear']), 2);
  t.equal(typeof scene({ clear: true }).begin({ secured: true }), 'object');
});

t.test('a mapped address is the IPv4 address that datagrams come from', async (t) => {
  const { associations, relays, begin } = scene({ addresses: ['203.0.113.7', '2001:db8::7'] });
  const mapped = { address: '::ffff:192.0.2.9', localAddress: '::ffff:192.0.2.1' };
  t.same(granted(begin(mapped)).endpoint, { address: '203.0.113.7', port: 1_080 });
  associations.handleDatagram(to(TARGET, 'x'), CLIENT);
  t.equal(relays[0]?.handled, 1);
  const ipv6 = granted(begin({ address: '2001:db8::9', localAddress: '2001:db8::1' }));
  t.same(ipv6.endpoint, { address: '2001:db8::7', port: 1_080 });
  t.same(granted(scene().begin(mapped)).endpoint, { address: '192.0.2.1', port: 1_080 });
});

t.test('what the connection still says means nothing, and its end is the end', async (t) => {
  const { associations, begin } = scene();
  const { stream } = granted(begin());
  stream.resume().write('anything');
  await new Promise(setImmediate);
  t.equal(associations.size, 1);
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
  t.equal(associations.size, 0);
});
