import type { PortHandlers } from '@argyle/host';
import t from 'tap';
import { type HostLimits, UNLIMITED } from '../src/limits.ts';
import type { LossCause } from '../src/network.ts';
import { Simulator } from '../src/simulator.ts';

const GROUP = { address: '239.192.0.9', port: 13_080 };
const OWN_PORT = 13_081;
const SIZE_BYTES = 1_000;

/** Two hosts of which alpha multicasts; counts what arrives, and why what is missing was lost. */
class TwoHosts {
  readonly simulator = new Simulator({ seed: 1 });
  readonly arrived = { alpha: 0, bravo: 0 };
  readonly lost: LossCause[] = [];
  readonly #port;

  constructor(limits: { alpha?: Partial<HostLimits>; bravo?: Partial<HostLimits> }) {
    this.simulator.network.lost = (_, cause) => this.lost.push(cause);
    for (const name of ['alpha', 'bravo'] as const) {
      this.simulator.host(name).limits = { ...UNLIMITED, ...limits[name] };
    }
    this.#port = this.#open('alpha');
    this.#open('bravo');
    this.simulator.run(1);
  }

  send(count: number): void {
    for (let sent = 0; sent < count; sent += 1) this.#port.multicast(new Uint8Array(SIZE_BYTES));
  }

  sendTo(name: 'alpha' | 'bravo'): void {
    const { address } = this.simulator.host(name);
    this.#port.unicast(new Uint8Array(SIZE_BYTES), { address, port: OWN_PORT });
  }

  #open(name: 'alpha' | 'bravo') {
    const host = this.simulator.host(name);
    const ignore = () => undefined;
    const handlers: PortHandlers = {
      opened: ignore,
      failed: ignore,
      unsent: ignore,
      link: ignore,
      datagram: () => (this.arrived[name] += 1),
    };
    const options = { group: GROUP, ownPort: OWN_PORT, linkKeys: () => [], multicastTtl: 1 };
    return host.openPort({ ...options, interfaceAddress: host.address }, handlers);
  }
}

t.test('a choked line loses what its queue cannot hold, and no own copy', (t) => {
  const hosts = new TwoHosts({ alpha: { egressBytesPerMs: 100, egressQueueBytes: 5_000 } });
  hosts.send(20);
  hosts.simulator.run(25);
  t.same(hosts.arrived, { alpha: 20, bravo: 2 }, 'one leaves every 10 ms');
  hosts.simulator.run(1_000);
  t.same(hosts.arrived, { alpha: 20, bravo: 5 });
  t.same([...new Set(hosts.lost)], ['egress']);
  t.equal(hosts.lost.length, 15);
  t.end();
});

t.test('a choked line of a receiver loses for that receiver', (t) => {
  const hosts = new TwoHosts({ bravo: { ingressBytesPerMs: 100, ingressQueueBytes: 3_000 } });
  hosts.send(4);
  hosts.simulator.run(1_000);
  t.same(hosts.arrived, { alpha: 4, bravo: 3 });
  t.same(hosts.lost, ['ingress']);
  t.end();
});

t.test('a slow reader takes its time, and its full socket loses the rest', (t) => {
  const hosts = new TwoHosts({ bravo: { receiveMs: 10, receiveQueueBytes: 4_500 } });
  hosts.send(6);
  hosts.simulator.run(22);
  t.same(hosts.arrived, { alpha: 6, bravo: 2 });
  hosts.simulator.run(1_000);
  t.equal(hosts.arrived.bravo, 4);
  t.same(hosts.lost, ['unread', 'unread']);
  t.end();
});

t.test('own copies take room in the sender’s socket', (t) => {
  const hosts = new TwoHosts({ alpha: { receiveMs: 1, receiveQueueBytes: 3_000 } });
  hosts.send(8);
  hosts.simulator.run(1_000);
  t.same(hosts.arrived, { alpha: 3, bravo: 8 });
  t.end();
});

t.test('what comes while a host stands still waits in its sockets, as far as it fits', (t) => {
  const hosts = new TwoHosts({ bravo: { receiveQueueBytes: 2_000 } });
  hosts.simulator.host('bravo').pause();
  hosts.send(5);
  hosts.simulator.run(100);
  t.equal(hosts.arrived.bravo, 0);
  hosts.simulator.host('bravo').resume();
  t.equal(hosts.arrived.bravo, 2);
  t.same(hosts.lost, ['unread', 'unread', 'unread']);
  hosts.send(2);
  hosts.simulator.run(100);
  t.equal(hosts.arrived.bravo, 4, 'what was read has made room');
  t.end();
});

t.test('a script loses what it says, for whom it says', (t) => {
  const hosts = new TwoHosts({});
  let passed = 0;
  hosts.simulator.network.script = ({ to }) => to === 'bravo' && (passed += 1) % 2 === 0;
  hosts.send(4);
  hosts.simulator.run(100);
  t.same(hosts.arrived, { alpha: 4, bravo: 2 });
  t.same(hosts.lost, ['script', 'script']);
  t.end();
});

t.test('a cut direction loses what is on its way when it is cut', (t) => {
  const hosts = new TwoHosts({});
  hosts.send(1);
  hosts.simulator.network.cut('alpha', 'bravo');
  hosts.simulator.run(100);
  t.same(hosts.arrived, { alpha: 1, bravo: 0 });
  t.same(hosts.lost, ['cut']);
  t.end();
});

t.test('where only multicast is cut, unicast goes on', (t) => {
  const hosts = new TwoHosts({});
  hosts.simulator.network.cutMulticast('alpha', 'bravo');
  hosts.send(2);
  hosts.sendTo('bravo');
  hosts.simulator.run(100);
  t.same(hosts.arrived, { alpha: 2, bravo: 1 });
  hosts.simulator.network.heal();
  hosts.send(1);
  hosts.simulator.run(100);
  t.same(hosts.arrived, { alpha: 3, bravo: 2 });
  t.end();
});
