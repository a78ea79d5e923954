import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { LinkInput } from '../src/machine.ts';
import { SystemHost } from '../src/system.ts';
import { SystemLinks } from '../src/system-links.ts';

const host = new SystemHost();
const LINK_KEYS = [{ identity: 'link', key: new Uint8Array(32).fill(1) }];
const CROWD = 300;
const HANDSHAKES_MAX = 256;

async function until(condition: () => boolean): Promise<void> {
  const end = host.now() + 10_000;
  while (!condition()) {
    if (host.now() > end) throw new Error('it did not happen within 10 s');
    await new Promise<void>((resolve) => host.after(5, resolve));
  }
}

/** Links that listen, what they were told, and strangers who connect to them. */
async function listen(t: Test) {
  const inputs: LinkInput[] = [];
  const { promise, resolve } = Promise.withResolvers<number | Error>();
  const handlers = {
    opened: () => undefined,
    failed: (error: Error) => t.fail(error.message),
    unsent: () => undefined,
    datagram: () => undefined,
    link: (input: LinkInput) => inputs.push(input),
  };
  const own = { address: '127.0.0.1', port: 0 };
  const links = new SystemLinks({ own, linkKeys: () => LINK_KEYS }, handlers, resolve);
  t.teardown(() => new Promise<void>((stopped) => links.stop(stopped)));
  const port = await promise;
  if (typeof port !== 'number') throw port;
  const strangers: Socket[] = [];
  t.teardown(() => strangers.forEach((stranger) => stranger.destroy()));
  const stranger = () => {
    const socket = connect(port, own.address);
    strangers.push(socket);
    socket.on('error', () => undefined);
    return socket;
  };
  const ended = (reason: string) =>
    inputs.filter((input) => input.kind === 'stranger' && input.reason === reason).length;
  return { inputs, links, port, stranger, ended };
}

t.test('a stranger who says nothing is closed, and counted', async (t) => {
  const { stranger, ended } = await listen(t);
  const silent = stranger();
  const from = host.now();
  await once(silent.resume(), 'close');
  t.ok(host.now() - from < 5_000);
  await until(() => ended('timeout') === 1);
});

t.test('as is one who speaks something else, or leaves', async (t) => {
  const { stranger, ended } = await listen(t);
  const scanner = stranger();
  scanner.write('GET / HTTP/1.0\r\n\r\n');
  await once(scanner.resume(), 'close');
  stranger().end();
  await until(() => ended('handshake') === 2);
  t.equal(ended('timeout') + ended('crowded'), 0);
});

t.test('a crowd of strangers keeps no member out', async (t) => {
  const { inputs, links, port, stranger, ended } = await listen(t);
  const crowd = Array.from({ length: CROWD }, () => stranger());
  await Promise.all(crowd.map((one) => once(one, 'connect')));
  await until(() => ended('crowded') === CROWD - HANDSHAKES_MAX);
  links.open(1, { address: '127.0.0.1', port });
  const from = host.now();
  await until(() => inputs.some(({ kind }) => kind === 'accepted'));
  t.ok(host.now() - from < 1_000, `${Math.round(host.now() - from)} ms`);
  await until(() => inputs.some(({ kind }) => kind === 'opened'));
  await until(() => ended('crowded') + ended('timeout') === CROWD);
  t.equal(ended('crowded'), CROWD - HANDSHAKES_MAX + 1, 'the oldest one made room');
});
