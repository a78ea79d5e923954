/** When a client asks the node in use whether it is there, besides silence. */
import t from 'tap';
import { HandOffer, received, settled } from './hand-association.ts';
import { NAMES, threeNodes } from './lab.ts';

/** A client that uses `alpha`, and has an epoch at `bravo`. */
function ready() {
  const used = settled('bravo');
  const { client } = used;
  client.pass(100);
  const standby = new HandOffer(2);
  const [hello] = client.sent();
  client.receive(standby.take(hello!), 'bravo');
  client.receive(standby.answer(client.sent()[0]!, received(0)), 'bravo');
  client.moves();
  return { ...used, standby };
}

t.test('a doubt asks the node in use at once, and an answer is enough for it', (t) => {
  const { client, offer, opening } = ready();
  client.machine.handleDoubt(client.now);
  const probes = client.sent();
  t.same(
    probes.map(({ to, epoch }) => [to, epoch]),
    [['alpha', offer.epoch]],
    'one PROBE, and nobody else is asked',
  );
  client.pass(5);
  client.receive(offer.answerProbe(opening, probes[0]!), 'alpha');
  client.pass(200);
  t.same([client.machine.endpoint, client.moves()], ['alpha', []]);
  t.end();
});

t.test('a doubt that nothing answers moves the client before its next payload', (t) => {
  const { client } = ready();
  client.machine.handleDoubt(client.now);
  client.pass(35);
  t.equal(client.machine.endpoint, 'alpha', 'a doubt is no verdict');
  client.pass(165);
  t.same([client.machine.endpoint, client.moves()], ['bravo', ['silent']]);
  t.end();
});

t.test('a doubt without a node in use changes nothing', (t) => {
  const lab = threeNodes();
  for (const name of NAMES) lab.node(name).host.pause();
  const client = lab.startClient('client', NAMES);
  lab.run(50);
  const { sent } = client.machine.counters;
  client.run((now) => client.machine.handleDoubt(now));
  t.equal(client.machine.counters.sent, sent);
  client.run((now) => client.machine.end(now));
  client.run((now) => client.machine.handleDoubt(now));
  t.equal(client.machine.deadline, Infinity);
  t.end();
});

/** Until three PROBEs of a suspicion have gone; 15 ms later would be the verdict. */
function suspected() {
  const scene = ready();
  const { client } = scene;
  client.say('lost');
  client.sent();
  let probes = 0;
  while (probes < 3) {
    client.now = client.machine.deadline;
    client.machine.handleDeadline(client.now);
    probes += client.sent().filter(({ to }) => to === 'alpha').length;
  }
  return scene;
}

t.test('a client that is late itself asks once more before it leaves a node', (t) => {
  const { client, offer, opening } = suspected();
  const dueMs = client.machine.deadline - client.now;
  client.now += dueMs * 1.5 + 1;
  client.machine.handleDeadline(client.now);
  t.same(client.moves(), []);
  const [probe] = client.sent();
  t.equal(probe?.to, 'alpha');
  client.receive(offer.answerProbe(opening, probe!), 'alpha');
  client.pass(200);
  t.same([client.machine.endpoint, client.moves()], ['alpha', []]);
  t.end();
});

t.test('one that is late every time leaves a node that is dead all the same', (t) => {
  const { client } = suspected();
  for (const expected of [[], ['silent']]) {
    client.now += 50;
    client.machine.handleDeadline(client.now);
    t.same(client.moves(), expected);
  }
  t.equal(client.machine.endpoint, 'bravo');
  t.end();
});

t.test('one that is in time does not wait for longer', (t) => {
  const { client } = suspected();
  client.now = client.machine.deadline + 1;
  client.machine.handleDeadline(client.now);
  t.same(client.moves(), ['silent']);
  t.end();
});
