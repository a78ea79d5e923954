import assert from 'node:assert/strict';
import { Random } from '@argyle/simulator';
import { type SuiteName, SUITES } from '../src/suite.ts';
import { Lab } from './lab.ts';
import { type ClientProcess, NodeProcess } from './processes.ts';

const NODES = ['alpha', 'bravo', 'charlie'];
const STRANGER = { address: '198.18.255.255', port: 9 };
/** Of hostile simulated time, and of the healed time after it. */
const HOSTILE_MS = 5_000;
/** By then every payload gets through again: a dead node rests for 5 s at most. */
const UNDER_WAY_MS = 500;
const HEALED_MS = 6_000;
const CALM_MS = 500;

export interface RunResult {
  readonly digest: string;
  readonly seen: ReadonlyMap<string, number>;
}

/**
 * One seed: two clients talk through three nodes, one of them perhaps through a balancer, while
 * datagrams are lost, doubled, delayed, replayed and forged, nodes are killed, started, frozen and
 * drained, addresses change, and associations are deleted. The checker looks on. Then the faults
 * end, and payloads must get through, both ways. Each seed draws which faults it has.
 */
export function hostileRun(seed: number): RunResult {
  const random = new Random(seed ^ 0x5eed);
  const draw = (most: number) => (random.chance(0.5) ? random.uniform() * most : 0);
  const faults = {
    loss: draw(0.25),
    duplicate: draw(0.2),
    replay: draw(0.2),
    delayMinMs: 0.1 + draw(30),
    delayMeanMs: 0.1 + draw(8),
  };
  const lab = new Lab({ seed, faults });
  lab.refusals = random.chance(0.7);
  lab.controls = true;
  for (const name of NODES) lab.startNode(name);
  if (random.chance(0.4)) lab.startBalancer();
  for (const name of ['client-1', 'client-2']) startClient(lab, name, random);
  const severity = random.uniform();
  lab.talk(HOSTILE_MS, 5 + random.below(40), () => {
    if (random.chance(0.15 * severity)) act(lab, random);
    if (random.chance(0.2)) replayOne(lab, random);
    if (random.chance(0.1)) forgeOne(lab, random);
  });
  heal(lab);
  // A copy that is still under way may end an association: its client asks for another one then.
  lab.run(UNDER_WAY_MS);
  for (const client of lab.clients.splice(0)) rejoin(lab, client, random);
  lab.talk(HEALED_MS, 60);
  mustGetThrough(lab);
  replayAll(lab);
  tally(lab);
  return { digest: lab.simulator.digest(), seen: lab.checker.seen };
}

function startClient(lab: Lab, name: string, random: Random): ClientProcess {
  const order = NODES.toSorted(() => random.uniform() - 0.5);
  const candidates = lab.balancer && random.chance(0.7) ? ['balancer'] : order;
  return lab.startClient(name, candidates, {
    suite: random.pick(Object.keys(SUITES) as SuiteName[]),
    replay: random.pick(['drop', 'drop', 'warn', 'end']),
    graceMs: random.pick([60_000, 1_000]),
    standbys: 1 + random.below(2),
    resend: random.chance(0.2) ? { datagrams: 0, ageMs: 1_000 } : { datagrams: 64, ageMs: 1_000 },
    rekeyRecords: random.chance(0.3) ? 50 + random.below(200) : 2 ** 24,
  });
}

function act(lab: Lab, random: Random): void {
  const node = lab.node(random.pick(NODES));
  const client = random.pick(lab.clients);
  const acts: readonly [share: number, act: () => void][] = [
    [10, () => (node.alive ? lab.kill(node.name) : void lab.startNode(node.name))],
    [6, () => restart(lab, node)],
    [6, () => freeze(lab, node, random.chance(0.3) ? 3_500 : random.below(600))],
    [4, () => freeze(lab, client, random.chance(0.2) ? 3_500 : random.below(300))],
    [6, () => client.rebind()],
    [4, () => drain(lab, node)],
    [4, () => lab.balancer?.deal()],
    [3, () => loseRecord(lab, node, client)],
    [3, () => cut(lab, client.name, node.name, random.below(2_000))],
    [3, () => cut(lab, node.name, client.name, random.below(2_000))],
    [3, () => reorder(lab, client, random)],
    [2, () => bothAtOnce(lab, client)],
    [1, () => lab.delete(client.id)],
    [0.5, () => client.run((now) => client.machine.end(now))],
  ];
  let left = random.uniform() * acts.reduce((sum, [share]) => sum + share, 0);
  acts.find(([share]) => (left -= share) < 0)?.[1]();
}

/** It is there again before anybody missed it, and remembers nothing. */
function restart(lab: Lab, node: NodeProcess): void {
  if (node.alive) lab.kill(node.name);
  lab.startNode(node.name);
}

function freeze(lab: Lab, process: NodeProcess | ClientProcess, durationMs: number): void {
  if (!process.alive) return;
  process.host.pause();
  lab.checker.count(process instanceof NodeProcess ? 'a node paused' : 'a client paused');
  const first = lab.simulator.random.chance(0.5) ? 'timers' : 'sockets';
  lab.simulator.after(durationMs, () => {
    process.resume(first);
  });
}

/** Nothing passes in that direction, though both are there. */
function cut(lab: Lab, from: string, to: string, durationMs: number): void {
  const { network } = lab.simulator;
  lab.checker.count('a path was cut one way');
  network.cut(from, to);
  lab.simulator.after(durationMs, () => network.heal());
}

/** It ends as a process does: drained or not, two seconds later. */
function drain(lab: Lab, node: NodeProcess): void {
  if (!node.alive) return;
  node.host.perform(() => node.run((now) => node.machine.drain(now)));
  lab.simulator.after(2_000, () => {
    if (lab.nodes.get(node.name) === node && node.alive) restart(lab, node);
  });
}

/** Its cache has not got the record, or has lost it: not the same as a DELETE. */
function loseRecord(lab: Lab, node: NodeProcess, { id }: ClientProcess): void {
  const record = node.records.get(id);
  if (!record) return;
  lab.checker.count('a cache lost a record');
  node.records.delete(id);
  lab.simulator.after(700, () => {
    if (lab.records.has(id) && node.alive) node.apply(id, lab.records.get(id));
  });
}

function reorder(lab: Lab, client: ClientProcess, random: Random): void {
  const some = NODES.filter(() => random.chance(0.7));
  const candidates = some.length > 0 ? some.toSorted(() => random.uniform() - 0.5) : NODES;
  const next = lab.balancer && random.chance(0.3) ? ['balancer', ...candidates] : candidates;
  client.host.perform(() => client.run((now) => client.machine.setCandidates(next, now)));
}

/** What the client sends now reaches two nodes: both may take the association. */
function bothAtOnce(lab: Lab, client: ClientProcess): void {
  const sent = lab.checker.recording.at(-1);
  if (!sent) return;
  for (const node of lab.nodes.values()) lab.replay(node, sent, client.endpoint);
}

function replayOne(lab: Lab, random: Random): void {
  const node = lab.node(random.pick(NODES));
  const from = random.chance(0.5) ? STRANGER : random.pick(lab.clients).endpoint;
  if (lab.checker.recording.length === 0) return;
  lab.replay(node, random.pick(lab.checker.recording), from);
}

/**
 * One bit is not as it was; or, at a client, all are, perhaps before the true one has come, from
 * where that did or from elsewhere.
 */
function forgeOne(lab: Lab, random: Random): void {
  const client = random.pick(lab.clients);
  const { recording, answers } = lab.checker;
  const flipped = (bytes: Buffer) => {
    const forged = Buffer.from(bytes);
    const at = random.below(forged.length);
    forged.writeUInt8(forged.readUInt8(at) ^ (1 << random.below(8)), at);
    return forged;
  };
  if (recording.length > 0 && random.chance(0.5)) {
    lab.checker.count('a datagram of a client was forged');
    const from = random.chance(0.3) ? STRANGER : client.endpoint;
    lab.replay(lab.node(random.pick(NODES)), flipped(random.pick(recording)), from);
    return;
  }
  if (answers.length === 0) return;
  lab.checker.count('a datagram of a node was forged or replayed');
  const { bytes, node, to } = random.pick(answers.slice(random.chance(0.5) ? -4 : -500));
  const from = random.chance(0.7) ? node : random.pick(NODES);
  // Whoever passes a datagram on has read it where it went.
  const whole = random.chance(0.5);
  if (whole) lab.checker.heardAt(lab.node(node), to);
  const datagram = whole ? bytes : flipped(bytes);
  client.host.perform(() =>
    client.run((now) => client.machine.handleDatagram(datagram, from, now)),
  );
}

/** Everything that clients ever sent, at every node, from elsewhere. */
function replayAll(lab: Lab): void {
  lab.echoes = false;
  for (const node of lab.nodes.values()) {
    for (const [index, datagram] of [...lab.checker.recording].entries()) {
      if (index % 20 === 0) lab.replay(node, datagram, { ...STRANGER, port: 1 + (index % 7) });
    }
  }
  lab.run(1_000);
}

function heal(lab: Lab): void {
  const { network } = lab.simulator;
  network.faults = { ...network.faults, loss: 0, duplicate: 0, replay: 0 };
  network.heal();
  for (const node of lab.nodes.values()) {
    if (node.alive) node.host.resume();
    if (!node.alive || node.events.some(({ kind }) => kind === 'drained')) restart(lab, node);
  }
  for (const client of lab.clients) client.host.resume();
  for (const [id, record] of lab.records) {
    for (const node of lab.nodes.values()) node.apply(id, record);
  }
}

/** Who has lost its association asks for another one, as it would over TLS. */
function rejoin(lab: Lab, client: ClientProcess, random: Random): void {
  const over = client.events.some(({ kind }) => kind === 'ended') || !lab.records.has(client.id);
  if (over) {
    client.stop();
    startClient(lab, `${client.name} again`, random);
  } else lab.clients.push(client);
}

/** Of the last payloads each has reached the target, and its answer the client. */
function mustGetThrough(lab: Lab): void {
  const numbers = new Map(lab.clients.map((client) => [client, client.number]));
  lab.talk(CALM_MS);
  lab.run(500);
  for (const client of lab.clients) {
    const since = numbers.get(client) ?? 0;
    const explain = () => `${client.name} at ${client.machine.endpoint}: ${stateOf(lab, client)}`;
    for (let number = since + 1; number <= client.number; number += 1) {
      assert(client.arrivals.has(number), `payload ${number} did not arrive: ${explain()}`);
      assert(client.received.includes(number), `no answer to ${number}: ${explain()}`);
    }
    const owner = lab.checker.servedBy(client.id)?.name;
    const { ownership } = lab.checker;
    assert.deepEqual(ownership.holders(client.id), [owner], `one node serves: ${explain()}`);
    for (const { name, records } of lab.nodes.values()) {
      const said = records.get(client.id)?.owner;
      assert.equal(said, owner, `${name} does not know the owner: ${explain()}`);
    }
  }
}

function stateOf(lab: Lab, client: ClientProcess): string {
  const nodes = [...lab.nodes.values()].map(({ name, machine }) => {
    const dropped = JSON.stringify(Object.fromEntries(machine.counters.dropped));
    return `${name} ${machine.size} ${dropped}`;
  });
  const events = client.events.slice(-6).map((event) => JSON.stringify(event));
  return [client.id, ...client.machine.standbys, ...events, ...nodes].join('\n  ');
}

function tally({ nodes, clients, checker }: Lab): void {
  for (const { machine } of nodes.values()) checker.tallyNode(machine.counters);
  for (const { machine } of clients) checker.tallyClient(machine.counters);
}
