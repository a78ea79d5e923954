import { ManualHost } from '@argyle/host/manual-host';
import t from 'tap';
import { NameDiscovery } from '../src/name-discovery.ts';

const NAME = { address: 'members.example', port: 13_081 };

/** A name server whose answers a test gives one by one. */
class NameServer {
  readonly asked: string[] = [];
  readonly aborted: string[] = [];
  #answer: ((addresses: readonly string[] | Error) => void) | undefined;

  readonly resolve = (name: string, signal: AbortSignal): Promise<readonly string[]> => {
    this.asked.push(name);
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        this.aborted.push(String(signal.reason));
        reject(signal.reason);
      });
      this.#answer = (addresses) =>
        addresses instanceof Error ? reject(addresses) : resolve(addresses);
    });
  };

  async answer(answer: readonly string[] | Error): Promise<void> {
    this.#answer?.(answer);
    await settled();
  }
}

/** All that promises have to do has been done. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function seek(names = [NAME]) {
  const host = new ManualHost();
  const server = new NameServer();
  const found: string[] = [];
  const failed: string[] = [];
  const discovery = new NameDiscovery({
    host,
    names,
    resolve: server.resolve,
    found: ({ address, port }) => found.push(`${address}:${port}`),
    failed: (name, { message }) => failed.push(`${name}: ${message}`),
  });
  return { host, server, found, failed, discovery };
}

t.test(
  'each address of a name is where a member may be, and the name is asked again',
  async (t) => {
    const { host, server, found, failed, discovery } = seek();
    await server.answer(['192.0.2.1', '2001:db8::1', '192.0.2.2']);
    t.same(found.splice(0), ['192.0.2.1:13081', '192.0.2.2:13081'], 'the group speaks IPv4');
    host.advance(4_999);
    t.equal(server.asked.length, 1);
    host.advance(1);
    t.same(server.asked, [NAME.address, NAME.address]);
    await server.answer(['192.0.2.3']);
    t.same(found, ['192.0.2.3:13081'], 'who came since');
    t.same(failed, []);
    discovery.close();
  },
);

t.test('a failure is counted each time, told once, and ends nothing', async (t) => {
  const { host, server, found, failed, discovery } = seek();
  for (const failure of [new Error('nobody knows the name'), new Error('no answer')]) {
    await server.answer(failure);
    host.advance(5_000);
  }
  t.same(failed, ['members.example: nobody knows the name']);
  t.equal(discovery.failures, 2);
  await server.answer(['192.0.2.1']);
  t.equal(found.length, 1);
  host.advance(5_000);
  await server.answer(['2001:db8::1']);
  t.match(failed[1], /only IPv6 addresses/, 'it had an answer meanwhile, so it is told again');
  t.equal(discovery.failures, 3);
  discovery.close();
});

t.test('a name server that is silent is given up, and asked again', async (t) => {
  const { host, server, failed, discovery } = seek();
  host.advance(4_000);
  await settled();
  t.same(failed, ['members.example: no answer in time']);
  host.advance(5_000);
  t.equal(server.asked.length, 2);
  discovery.close();
});

t.test('a name with more addresses than are of use costs no more than its share', async (t) => {
  const { server, found, discovery } = seek();
  await server.answer(
    Array.from({ length: 1_000 }, (_, index) => `198.18.${index >> 8}.${index & 255}`),
  );
  t.equal(found.length, 128);
  discovery.close();
});

t.test('closing ends the question under way, and every timer', async (t) => {
  const { host, server, found, failed, discovery } = seek();
  discovery.close();
  await settled();
  t.same(server.aborted, ['Error: closed']);
  t.same([found, failed], [[], []]);
  t.equal(host.armed, 0);
  const waiting = seek();
  await waiting.server.answer(['192.0.2.1']);
  waiting.discovery.close();
  t.equal(waiting.host.armed, 0);
});
