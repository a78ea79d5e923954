/** UDP ASSOCIATE (RFC 1928 §7) through the client's port, to nodes that run the real machine. */
import t from 'tap';
import { startClient, startNodes } from './scene.ts';
import { associate, HEADER, Peer } from './udp-scene.ts';

const PORTS = [22_410, 22_411];

t.test('datagrams of an application come to a node, and back', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const { port } = await startClient(t, PORTS);
  const { code, at } = await associate(t, port);
  t.equal(code, 0);
  const peer = await Peer.open(t, HEADER.length);
  peer.sendWithHeader('ping', at);
  await peer.hears('ping');
  t.strictSame(
    nodes.flatMap(({ udp }) => udp.overUdp),
    ['ping'],
  );
});
