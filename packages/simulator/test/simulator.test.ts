import { hostContract } from '@argyle/host/conformance';
import t from 'tap';
import { Random } from '../src/random.ts';
import { Simulator } from '../src/simulator.ts';

for (const [promise, prove] of Object.entries(hostContract)) {
  t.test(`the simulator: ${promise}`, () => {
    const simulator = new Simulator({ seed: 1 });
    return prove({
      host: (name) => {
        const host = simulator.host(name);
        return { host, interfaceAddress: host.address };
      },
      group: { address: '239.192.0.9', port: 13_080 },
      until: (condition) =>
        simulator.runUntil(condition, 10_000)
          ? Promise.resolve()
          : Promise.reject(new Error('it did not happen within 10 s')),
    });
  });
}

t.test('tasks run by time, then in the order they were given', (t) => {
  const simulator = new Simulator({ seed: 1 });
  const order: string[] = [];
  simulator.after(5, () => order.push('c'));
  simulator.after(1, () => order.push('a'));
  simulator.after(5, () => order.push('d'));
  simulator.after(1, () => {
    order.push('b');
    simulator.after(0, () => order.push('b again'));
  });
  simulator.after(3, () => order.push('never'))();
  simulator.run(5);
  t.same(order, ['a', 'b', 'b again', 'c', 'd']);
  t.equal(simulator.now, 5);
  t.end();
});

t.test('many tasks come out of the heap in order', (t) => {
  const simulator = new Simulator({ seed: 1 });
  const random = new Random(9);
  const times: number[] = [];
  for (let task = 0; task < 5_000; task += 1) {
    simulator.after(random.below(1_000), () => times.push(simulator.now));
  }
  simulator.run(1_000);
  t.same(
    times,
    times.toSorted((a, b) => a - b),
  );
  t.equal(times.length, 5_000);
  t.end();
});

t.test(
  'the generator’s draws are even, and a fork does not disturb its parent’s later ones',
  (t) => {
    const random = new Random(4);
    const buckets = new Array<number>(16).fill(0);
    for (let draw = 0; draw < 160_000; draw += 1) {
      const bucket = random.below(16);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    const chiSquare = buckets.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    t.ok(chiSquare < 37.7, `chi-square ${chiSquare.toFixed(1)} of 15 degrees, 0.1 % bound`);
    const [one, two] = [new Random(5), new Random(5)];
    const fork = one.fork();
    two.fork();
    fork.bytes(100);
    t.equal(one.word(), two.word());
    t.end();
  },
);

t.test('a crashed host’s timers never fire, and a paused one’s fire when it goes on', (t) => {
  const simulator = new Simulator({ seed: 1 });
  const host = simulator.host('alpha');
  const fired: string[] = [];
  host.after(10, () => fired.push('before the crash'));
  host.crash();
  host.after(20, () => fired.push(`at ${simulator.now}`));
  host.pause();
  simulator.run(100);
  t.same(fired, []);
  host.resume();
  t.same(fired, ['at 100']);
  t.end();
});

t.test('a forgotten host hears unicast and itself alone, until it joins the group anew', (t) => {
  const simulator = new Simulator({ seed: 1 });
  const heard: string[] = [];
  const [alpha, bravo] = ['alpha', 'bravo'].map((name) => {
    const host = simulator.host(name);
    return host.openPort(
      {
        ...{ group: { address: '239.192.0.9', port: 13_080 }, interfaceAddress: host.address },
        ...{ ownPort: 13_081, linkKeys: () => [], multicastTtl: 1 },
      },
      {
        opened: () => undefined,
        failed: (error) => t.fail(error.message),
        unsent: (error) => t.fail(error.message),
        datagram: (bytes, _from, channel) => heard.push(`${name} ${channel} ${bytes[0]}`),
        link: () => undefined,
      },
    );
  });
  simulator.run(1);
  const told = () => {
    simulator.run(10);
    return heard.splice(0).sort();
  };
  simulator.network.forget('bravo');
  alpha!.multicast(Uint8Array.of(1));
  alpha!.unicast(Uint8Array.of(2), { address: simulator.host('bravo').address, port: 13_081 });
  bravo!.multicast(Uint8Array.of(3));
  t.same(told(), ['alpha group 1', 'alpha group 3', 'bravo group 3', 'bravo own 2']);
  bravo!.rejoin();
  alpha!.multicast(Uint8Array.of(4));
  t.same(told(), ['alpha group 4', 'bravo group 4']);
  simulator.network.cutMulticast('alpha', 'bravo');
  bravo!.rejoin();
  alpha!.multicast(Uint8Array.of(5));
  t.same(told(), ['alpha group 5'], 'what is cut stays cut');
  t.end();
});
