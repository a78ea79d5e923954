import t from 'tap';
import { Lab } from './lab.ts';

const NAMES = ['alpha', 'bravo', 'charlie'];

function lab(seed = 1, faults = {}): Lab {
  const made = new Lab({ seed, faults });
  for (const name of NAMES) made.startNode(name);
  return made;
}

t.test('smoke', (t) => {
  const l = lab();
  const client = l.startClient('client', NAMES);
  l.talk(2_000);
  t.equal(client.machine.endpoint, 'alpha');
  t.same(client.machine.standbys, ['bravo', 'charlie']);
  t.equal(client.arrivals.size, 100);
  t.equal(client.received.length, 100);
  t.comment(client.machine.counters, client.events, [...l.checker.seen]);
  t.comment(l.node('alpha').machine.counters);
  l.kill('alpha');
  l.talk(1_000);
  t.comment(client.machine.endpoint, client.events, client.machine.counters);
  t.equal(client.arrivals.size, 150);
  t.end();
});
