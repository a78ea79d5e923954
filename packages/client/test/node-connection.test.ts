import { duplexPair } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import t from 'tap';
import { SystemHost } from '@argyle/host/system';
import { NodeConnection } from '../src/node-connection.ts';
import { SocksDialogue } from '../src/socks-dialogue.ts';

const USER = { name: 'demo', password: 'sesame' };

/** A connection over a pipe; what the node says arrives all in one moment. */
function connect(user?: typeof USER) {
  const [near, far] = duplexPair();
  near.on('error', () => undefined);
  far.resume();
  const facts = { node: 0, securedAt: 0, handshake: { delayMs: 1, sample: false } };
  const tls = Object.assign(near, { destroySoon: () => near.end() });
  const stream = { tls: tls as unknown as TLSSocket, reset: () => void near.destroy() };
  const connection = new NodeConnection(new SystemHost(), stream, new SocksDialogue(user), facts);
  const say = (...messages: number[][]) => {
    for (const message of messages) near.push(Buffer.from(message));
  };
  return { connection, near, say };
}

t.test('a node that speaks on after its method is no node', async (t) => {
  const { connection, say } = connect();
  const login = connection.login((check) => check());
  say([5, 0], [7]);
  await t.rejects(login, { code: 'protocol' });
});

t.test('a node that speaks on before it has the password is no node', async (t) => {
  const { connection, say } = connect(USER);
  const login = connection.login((check) => check());
  say([5, 2], [7]);
  await t.rejects(login, { code: 'protocol' });
});

t.test('a node whose chunks make no sense is no node', async (t) => {
  const { connection, say } = connect();
  const login = connection.login((check) => check());
  say([5, 0]);
  t.equal(await login, 'none');
  const { replied } = connection.request(Buffer.from('request'));
  t.equal(connection.load, 1);
  say([9, 0, 0, 1, 0, 0, 0, 0]);
  t.equal(await replied, undefined);
  t.match(connection.failure, { code: 'protocol' });
  t.equal(connection.load, 0);
});

t.test('a connection that is given up ends when its last tunnel has', async (t) => {
  const { connection, near, say } = connect();
  const login = connection.login((check) => check());
  say([5, 0]);
  await login;
  const events: string[] = [];
  connection.watch({ lost: () => events.push('lost'), idle: () => events.push('idle') });
  const [first, second] = [1, 2].map(() => connection.request(Buffer.from('request')));
  connection.retire();
  first?.abort();
  t.equal(near.writableEnded, false);
  second?.abort();
  t.equal(near.writableEnded, true);
  t.same(events, []);
});

t.test('who watches a connection is told of its end, also if it came before', async (t) => {
  const { connection, near, say } = connect();
  const login = connection.login((check) => check());
  say([5, 0]);
  await login;
  near.destroy();
  await new Promise((resolve) => near.once('close', resolve));
  const lost = new Promise((resolve) => {
    connection.watch({ lost: ({ code }) => resolve(code), idle: () => undefined });
  });
  t.equal(await lost, 'reset');
});
