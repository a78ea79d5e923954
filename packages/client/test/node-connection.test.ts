import { duplexPair } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import t from 'tap';
import { NodeConnection } from '../src/node-connection.ts';
import { SocksDialogue } from '../src/socks-dialogue.ts';

const USER = { name: 'demo', password: 'sesame' };

/** A connection over a pipe; what the node says arrives all in one moment. */
function connect(user?: typeof USER) {
  const [near, far] = duplexPair();
  near.on('error', () => undefined);
  far.resume();
  const facts = { node: 0, securedAt: 0, handshakeMs: undefined };
  const stream = { tls: near as TLSSocket, reset: () => void near.destroy() };
  const connection = new NodeConnection(stream, new SocksDialogue(user), facts);
  const say = (...messages: number[][]) => {
    for (const message of messages) near.push(Buffer.from(message));
  };
  return { connection, say };
}

t.test('a node that speaks on after its method is no node', async (t) => {
  const { connection, say } = connect();
  const login = connection.login((check) => check());
  say([5, 0], [7]);
  t.equal(await login, 'none');
  await t.rejects(connection.request(Buffer.from('request')), { code: 'protocol' });
});

t.test('a node that speaks on before it has the password is no node', async (t) => {
  const { connection, say } = connect(USER);
  const login = connection.login((check) => check());
  say([5, 2], [7]);
  await t.rejects(login, { code: 'protocol' });
});
