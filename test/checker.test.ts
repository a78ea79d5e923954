import type { CacheRecord } from '@argyle/cache';
import type { GroupEvent } from '@argyle/multicast';
import type { Replica } from '@argyle/replica';
import t from 'tap';
import { SimulatedCluster } from './simulated-cluster.ts';

/** Bugs planted in every replica, and how what the checker says of them begins. */
const PLANTED: readonly [bug: string, said: RegExp, plant: (replica: Replica) => void][] = [
  ['a write is reported before others have it', /^1: /, reportsAtOnce],
  ['a message is handed on twice', /^2: /, (replica) => repeat(replica, 2)],
  ['a message is left out', /^[12]: /, (replica) => repeat(replica, 0)],
  ['a message is changed on its way', /^2: /, changesMessages],
  ['replicas hold different values of a version', /^4: /, changesValues],
  ['a purge leaves records', /^5: /, keepsPurged],
  ['an expired record is served', /^6: /, servesExpired],
  ['expiries are lengthened', /^6: /, lengthens],
  ['a joiner is ready without a record', /^9: /, hidesFromJoiners],
  ['a writer never hears of its end', /^12: /, swallowsEnds],
  ['a packet number is used twice', /^14: /, sealsTwice],
];

for (const [bug, said, plant] of PLANTED) {
  t.test(`the checker notices when ${bug}`, (t) => {
    t.throws(() => scenario(plant), { message: said });
    t.end();
  });
}

t.test('and has nothing to say of the same scenario without a bug', (t) => {
  t.doesNotThrow(() => scenario(() => undefined));
  t.end();
});

/** Two members write, delete, let expire and purge; a third joins. */
function scenario(plant: (replica: Replica) => void): void {
  const cluster = new SimulatedCluster({ seed: 1, plant });
  cluster.start('alpha');
  cluster.start('bravo');
  cluster.run(3_000);
  for (let round = 0; round < 60; round += 1) {
    const key = `key ${round % 10}`;
    cluster.add(round % 2 ? 'alpha' : 'bravo', key, `value ${round}`, round % 3 ? 300 : 60_000);
    if (round % 7 === 0) cluster.remove('bravo', key);
    cluster.run(50);
    cluster.checker.look();
  }
  cluster.start('charlie');
  cluster.run(6_000);
  cluster.purge('alpha');
  cluster.run(3_000);
  cluster.checker.settled();
}

function reportsAtOnce({ group }: Replica): void {
  const events: GroupEvent[] = [];
  const send = group.send.bind(group);
  const pollEvent = group.pollEvent.bind(group);
  group.send = (message, now) => {
    const ticket = send(message, now);
    if (ticket !== undefined) events.push({ kind: 'ended', ticket, outcome: 'replicated' });
    return ticket;
  };
  group.pollEvent = () => events.shift() ?? pollEvent();
}

function repeat({ group }: Replica, times: number): void {
  const events: GroupEvent[] = [];
  const pollEvent = group.pollEvent.bind(group);
  let messages = 0;
  group.pollEvent = () => {
    const event = events.shift() ?? pollEvent();
    if (event?.kind !== 'message' || (messages += 1) !== 5) return event;
    for (let time = 1; time < times; time += 1) events.push(event);
    return times > 0 ? event : pollEvent();
  };
}

function changesMessages({ group }: Replica): void {
  const pollEvent = group.pollEvent.bind(group);
  group.pollEvent = () => {
    const event = pollEvent();
    if (event?.kind !== 'message') return event;
    return { ...event, message: event.message.map((byte, index) => (index === 9 ? ~byte : byte)) };
  };
}

function changesValues({ cache, group }: Replica): void {
  const put = cache.put.bind(cache);
  cache.put = (table, key, value, ...rest) =>
    put(table, key, Buffer.concat([value, Buffer.from(group.incarnation)]), ...rest);
}

function keepsPurged({ cache }: Replica): void {
  let epoch = cache.purgeEpoch;
  cache.purge = (raised) => {
    epoch = raised;
    return true;
  };
  Object.defineProperty(cache, 'purgeEpoch', { get: () => epoch });
}

function servesExpired({ cache }: Replica): void {
  const get = cache.get.bind(cache);
  cache.get = (table, key) => get(table, key, 0);
}

function lengthens({ cache }: Replica): void {
  changeScans(cache, (records) =>
    records.map((record) => ({ ...record, expiresAt: record.expiresAt + 5_000 })),
  );
}

function hidesFromJoiners({ cache }: Replica): void {
  changeScans(cache, (records) =>
    records.filter(({ key }) => Buffer.from(key).toString() !== 'key 4'),
  );
}

function changeScans(
  cache: Replica['cache'],
  change: (records: readonly CacheRecord[]) => CacheRecord[],
): void {
  const scan = cache.scan.bind(cache);
  cache.scan = (...asked) => {
    const { records, next } = scan(...asked);
    return { records: change(records), next };
  };
}

function swallowsEnds({ group }: Replica): void {
  const pollEvent = group.pollEvent.bind(group);
  group.pollEvent = () => {
    const event = pollEvent();
    return event?.kind === 'ended' && event.ticket > 3 ? pollEvent() : event;
  };
}

function sealsTwice({ group }: Replica): void {
  const { keyring } = group;
  const seal = keyring.seal.bind(keyring);
  let count = 0;
  keyring.seal = (kind, body) => {
    count += 1;
    if (count % 20 === 0) keyring.adopt(Buffer.from(group.incarnation, 'hex'));
    return seal(kind, body);
  };
}
