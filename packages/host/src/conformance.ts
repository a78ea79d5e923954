import assert from 'node:assert/strict';
import type { Host, Port, PortHandlers } from './host.ts';
import type { Channel, Endpoint, LinkInput } from './machine.ts';

/** A place to run the contract in: the system, or a simulator. */
export interface ConformancePlace {
  /** A host and the address of its interface. Two calls give hosts that hear each other. */
  host(name: string): { readonly host: Host; readonly interfaceAddress: string };
  readonly group: Endpoint;
  /** Lets time pass until the condition holds; rejects after a bound of its own. */
  until(condition: () => boolean): Promise<void>;
}

interface Opened {
  readonly port: Port;
  readonly own: () => Endpoint;
  readonly opened: () => boolean;
  readonly datagrams: { text: string; from: Endpoint; channel: Channel }[];
  readonly links: LinkInput[];
  readonly failures: Error[];
}

const LINK_KEYS = [{ identity: 'link', key: new Uint8Array(32).fill(7) }];

/** What both hosts must do alike: each named case is one promise of the Host interface. */
export const hostContract: Readonly<Record<string, (place: ConformancePlace) => Promise<void>>> = {
  async 'multicast reaches every port of the group, the sender’s own too, from its own port'(
    place,
  ) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    alpha.port.multicast(Buffer.from('to all'));
    await place.until(() => alpha.datagrams.length === 1 && bravo.datagrams.length === 1);
    for (const [datagram] of [alpha.datagrams, bravo.datagrams]) {
      assert.equal(datagram?.text, 'to all');
      assert.equal(datagram?.channel, 'group');
      assert.equal(datagram?.from.port, alpha.own().port);
      assert.equal(datagram?.from.address, alpha.own().address);
    }
    await close(place, alpha, bravo);
  },

  async 'unicast reaches the own port it is sent to, and no other'(place) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    alpha.port.unicast(Buffer.from('to one'), bravo.own());
    alpha.port.multicast(Buffer.from('after it'));
    await place.until(() => alpha.datagrams.length === 1 && bravo.datagrams.length === 2);
    const unicast = bravo.datagrams.find(({ channel }) => channel === 'own');
    assert.equal(unicast?.text, 'to one');
    await close(place, alpha, bravo);
  },

  async 'who joins the group anew still hears it'(place) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    bravo.port.rejoin();
    alpha.port.multicast(Buffer.from('to all'));
    await place.until(() => alpha.datagrams.length === 1 && bravo.datagrams.length === 1);
    await close(place, alpha, bravo);
  },

  async 'without a group a port hears unicast alone'(place) {
    const alone = start(place, 'alpha', { grouped: false });
    const bravo = await open(place, 'bravo');
    await place.until(() => alone.opened());
    alone.port.multicast(Buffer.from('to nobody'));
    alone.port.rejoin();
    bravo.port.multicast(Buffer.from('to all'));
    bravo.port.unicast(Buffer.from('to one'), alone.own());
    alone.port.unicast(Buffer.from('back'), bravo.own());
    await place.until(() => alone.datagrams.length === 1 && bravo.datagrams.length === 2);
    assert.equal(alone.datagrams[0]?.text, 'to one');
    assert.deepEqual(bravo.datagrams.map(({ text }) => text).sort(), ['back', 'to all']);
    assert.deepEqual([...alone.failures, ...bravo.failures], []);
    await close(place, alone, bravo);
  },

  async 'a port that is taken fails, and says so'(place) {
    const alpha = await open(place, 'alpha');
    const again = start(place, 'alpha', { ownPort: alpha.own().port });
    await place.until(() => again.failures.length > 0);
    await close(place, alpha);
    again.port.close();
  },

  async 'a link carries bytes both ways, in order, and says when it has drained'(place) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    alpha.port.openLink(1, bravo.own());
    await place.until(() => has(alpha, 'opened') && has(bravo, 'accepted'));
    for (let part = 0; part < 50; part += 1) {
      alpha.port.writeLink(1, Buffer.alloc(10_000, part));
    }
    await place.until(() => received(bravo).length === 500_000 && has(alpha, 'drained'));
    for (let part = 0; part < 50; part += 1) {
      assert.equal(received(bravo)[part * 10_000], part, 'in order');
    }
    bravo.port.writeLink(-1, Buffer.from('back'));
    await place.until(() => received(alpha).toString() === 'back');
    await close(place, alpha, bravo);
  },

  async 'closing a link ends it at the other side after all that was written'(place) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    alpha.port.openLink(1, bravo.own());
    await place.until(() => has(alpha, 'opened') && has(bravo, 'accepted'));
    alpha.port.writeLink(1, Buffer.alloc(100_000, 1));
    alpha.port.closeLink(1);
    await place.until(() => has(bravo, 'closed'));
    assert.equal(received(bravo).length, 100_000);
    assert.equal(has(alpha, 'closed'), false, 'who closes is not told');
    await close(place, alpha, bravo);
  },

  async 'a link to where nobody listens is refused'(place) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    const gone = bravo.own();
    await close(place, bravo);
    alpha.port.openLink(1, gone);
    await place.until(() => has(alpha, 'closed'));
    assert.deepEqual(alpha.links.at(-1), { kind: 'closed', link: 1, reason: 'refused' });
    await close(place, alpha);
  },

  async 'a link whose other process ends is told so'(place) {
    const [alpha, bravo] = [await open(place, 'alpha'), await open(place, 'bravo')];
    alpha.port.openLink(1, bravo.own());
    await place.until(() => has(alpha, 'opened') && has(bravo, 'accepted'));
    await close(place, bravo);
    await place.until(() => has(alpha, 'closed'));
    await close(place, alpha);
  },

  async 'after() calls once, at most a millisecond early, and not when it is cancelled'(place) {
    const { host } = place.host('alpha');
    const from = host.now();
    const calls: number[] = [];
    host.after(20, () => calls.push(host.now() - from));
    host.after(10, () => calls.push(Number.NaN))();
    let later = false;
    host.after(60, () => {
      later = true;
    });
    await place.until(() => later);
    assert.equal(calls.length, 1);
    assert.ok((calls[0] ?? 0) >= 19, `after ${calls[0]} ms`);
  },
};

function start(
  place: ConformancePlace,
  name: string,
  { ownPort = 0, grouped = true } = {},
): Opened {
  const { host, interfaceAddress } = place.host(name);
  const datagrams: Opened['datagrams'] = [];
  const links: LinkInput[] = [];
  const failures: Error[] = [];
  let own: Endpoint | undefined;
  const handlers: PortHandlers = {
    opened: (endpoint) => {
      own = endpoint;
    },
    failed: (error) => failures.push(error),
    unsent: (error) => failures.push(error),
    datagram: (bytes, from, channel) =>
      datagrams.push({ text: Buffer.from(bytes).toString(), from, channel }),
    link: (input) =>
      links.push(input.kind === 'bytes' ? { ...input, bytes: input.bytes.slice() } : input),
  };
  const port = host.openPort(
    {
      ...{ group: grouped ? place.group : undefined, interfaceAddress, ownPort },
      ...{ linkKeys: () => LINK_KEYS, multicastTtl: 0 },
    },
    handlers,
  );
  const endpoint = () => {
    assert(own, `${name} is open`);
    return own;
  };
  return { port, own: endpoint, opened: () => own !== undefined, datagrams, links, failures };
}

async function open(place: ConformancePlace, name: string): Promise<Opened> {
  const opened = start(place, name);
  await place.until(() => {
    if (opened.failures[0]) throw opened.failures[0];
    return opened.opened();
  });
  return opened;
}

async function close(place: ConformancePlace, ...all: Opened[]): Promise<void> {
  let open = all.length;
  for (const { port } of all) {
    port.close(() => {
      open -= 1;
    });
  }
  await place.until(() => open === 0);
}

function has({ links }: Opened, kind: LinkInput['kind']): boolean {
  return links.some((input) => input.kind === kind);
}

function received({ links }: Opened): Buffer {
  return Buffer.concat(links.flatMap((input) => (input.kind === 'bytes' ? [input.bytes] : [])));
}
