/** Ports that lead to one target, through nodes that run the real machine. */
import t, { type Test } from 'tap';
import type { ClientChanges } from './scene.ts';
import { metric, startClient, startNodes } from './scene.ts';
import { Peer } from './udp-scene.ts';

const PORTS = [22_420, 22_421];
const LISTEN = { address: '127.0.0.1', port: 22_429 };
const TARGET = { host: 'target.example', port: 53 };
const FORWARD = { protocol: 'udp', listen: LISTEN, target: TARGET } as const;

async function forwarding(t: Test, udp: ClientChanges['udp'] = {}) {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS, { forwards: [FORWARD], udp });
  return { ...scene, nodes };
}

t.test('each sender has an association of its own, for the one target', async (t) => {
  const { nodes, client } = await forwarding(t);
  const peers = [await Peer.open(t), await Peer.open(t)];
  for (const [index, peer] of peers.entries()) {
    for (const word of ['one', 'two', 'three']) peer.send(`${word} ${index}`, LISTEN);
  }
  for (const [index, peer] of peers.entries()) {
    await peer.hears(`one ${index}`, `two ${index}`, `three ${index}`);
    t.equal(peer.received.length, 3, 'the first ones waited for the association');
  }
  t.equal(metric(client, 'client_associations'), 2);
  const requests = nodes.flatMap(({ requests }) => requests);
  const asked = Buffer.from([5, 0x83, 0, 3, 14, ...Buffer.from('target.example'), 0, 53]);
  t.strictSame(requests, [asked, asked]);
});
