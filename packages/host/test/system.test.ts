import { connect } from 'node:net';
import t from 'tap';
import { hostContract } from '../src/conformance.ts';
import { SystemHost } from '../src/system.ts';

const host = new SystemHost();
const place = {
  host: () => ({ host, interfaceAddress: '127.0.0.1' }),
  group: { address: '239.192.0.9', port: 24_901 },
  until: (condition: () => boolean) =>
    new Promise<void>((resolve, reject) => {
      const end = host.now() + 10_000;
      const look = () => {
        try {
          if (condition()) resolve();
          else if (host.now() > end) reject(new Error('it did not happen within 10 s'));
          else host.after(2, look);
        } catch (error) {
          reject(error);
        }
      };
      look();
    }),
};

for (const [promise, prove] of Object.entries(hostContract)) {
  t.test(`the system: ${promise}`, () => prove(place));
}

t.test('the wall clock is the system’s', (t) => {
  t.ok(Math.abs(host.now() + host.wallOffset() - Date.now()) < 5);
  t.end();
});

t.test('random bytes are not the same twice', (t) => {
  t.not(Buffer.from(host.random(16)).toString('hex'), Buffer.from(host.random(16)).toString('hex'));
  t.end();
});

t.test('a link with another cluster’s key is refused by authentication', async (t) => {
  const ends: string[] = [];
  const opened: { address: string; port: number }[] = [];
  const open = (fill: number) =>
    host.openPort(
      {
        group: place.group,
        interfaceAddress: '127.0.0.1',
        ownPort: 0,
        linkKeys: () => [{ identity: 'link', key: new Uint8Array(32).fill(fill) }],
        multicastTtl: 0,
      },
      {
        opened: (own) => opened.push(own),
        failed: (error) => t.fail(error.message),
        unsent: () => undefined,
        datagram: () => undefined,
        link: (input) => ends.push(input.kind === 'closed' ? input.reason : input.kind),
      },
    );
  const ports = [open(1)];
  await place.until(() => opened.length === 1);
  ports.push(open(2));
  await place.until(() => opened.length === 2);
  const [first] = opened;
  if (first) ports[1]?.openLink(1, first);
  await place.until(() => ends.length > 0);
  t.notOk(ends.includes('opened') || ends.includes('accepted'));
  for (const port of ports) port.close();
});

t.test('a group that is none is a failure of the port, not of the process', async (t) => {
  const failures: Error[] = [];
  const port = host.openPort(
    {
      group: { address: '127.0.0.1', port: 0 },
      interfaceAddress: '127.0.0.1',
      ownPort: 0,
      linkKeys: () => [],
      multicastTtl: 0,
    },
    {
      opened: () => t.fail('opened'),
      failed: (error) => failures.push(error),
      unsent: () => undefined,
      datagram: () => undefined,
      link: () => undefined,
    },
  );
  await place.until(() => failures.length > 0);
  await new Promise<void>((resolve) => port.close(resolve));
});

t.test('a stranger who connects and says nothing does not keep a port from closing', async (t) => {
  let own: { address: string; port: number } | undefined;
  const port = host.openPort(
    {
      group: place.group,
      interfaceAddress: '127.0.0.1',
      ownPort: 0,
      linkKeys: () => [],
      multicastTtl: 0,
    },
    {
      opened: (endpoint) => (own = endpoint),
      failed: (error) => t.fail(error.message),
      unsent: () => undefined,
      datagram: () => undefined,
      link: () => undefined,
    },
  );
  await place.until(() => own !== undefined);
  const stranger = connect(own!.port, own!.address);
  stranger.on('error', () => undefined);
  await new Promise((resolve) => stranger.once('connect', resolve));
  const from = host.now();
  await new Promise<void>((resolve) => port.close(resolve));
  t.ok(host.now() - from < 1_000, 'at once, not after the handshake has timed out');
  stranger.destroy();
});
