import t from 'tap';
import type { Output } from '@argyle/host';
import { type LinkEvent, Links } from '../src/links.ts';

const OWN = '0b'.repeat(16);
const PEER = '0a'.repeat(16);
const AT = { address: '198.18.0.1', port: 13_081 };

function frame(type: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length + 1);
  head[4] = type;
  return Buffer.concat([head, payload]);
}

const HELLO = frame(1, Buffer.from(PEER + OWN, 'hex'));
const ACCEPT = frame(2, Buffer.alloc(0));

/** Links to a peer whose incarnation is lesser: this side has opened link 1 to it. */
function start() {
  const links = new Links(() => OWN);
  links.add(PEER, AT, 0);
  const outputs = () => drain<Output>(() => links.pollOutput());
  const events = () => drain<LinkEvent>(() => links.pollEvent()).map(({ kind }) => kind);
  return { links, outputs, events };
}

function drain<Item>(poll: () => Item | undefined): Item[] {
  const items: Item[] = [];
  for (let item = poll(); item !== undefined; item = poll()) items.push(item);
  return items;
}

t.test('where both opened a link, messages stay on the one that came up first', (t) => {
  const { links, outputs, events } = start();
  links.handleLink({ kind: 'accepted', link: -1, from: AT }, 1);
  links.handleLink({ kind: 'bytes', link: -1, bytes: HELLO }, 1);
  links.handleLink({ kind: 'opened', link: 1 }, 2);
  links.handleLink({ kind: 'bytes', link: 1, bytes: ACCEPT }, 2);
  outputs();
  links.send(PEER, Buffer.from('one'));
  t.same(
    outputs().map((output) => 'link' in output && output.link),
    [-1],
  );
  events();
  links.handleLink({ kind: 'closed', link: -1, reason: 'reset' }, 3);
  t.same(events(), ['down'], 'what was under way on it is lost');
  t.ok(links.has(PEER));
  t.same(outputs(), [], 'the other one stands');
  t.end();
});

t.test('a link that does not say hello is closed', (t) => {
  const { links, outputs } = start();
  outputs();
  links.handleLink({ kind: 'accepted', link: -1, from: AT }, 100);
  t.equal(links.deadline, 3_100);
  links.handleDeadline(3_100);
  t.same(outputs(), [{ kind: 'link-close', link: -1 }]);
  t.equal(links.deadline, Infinity);
  t.same([...links.refused], [['silent', 1]]);
  t.end();
});

t.test('who connects and is no member is counted by reason', (t) => {
  const { links } = start();
  const connect = (link: number, bytes: Buffer) => {
    links.handleLink({ kind: 'accepted', link, from: AT }, 1);
    links.handleLink({ kind: 'bytes', link, bytes }, 1);
  };
  connect(-1, frame(1, Buffer.from('0c'.repeat(16) + OWN, 'hex')));
  connect(-2, frame(1, Buffer.from(PEER + '0c'.repeat(16), 'hex')));
  connect(-3, frame(4, Buffer.from('no hello')));
  for (const reason of ['handshake', 'timeout', 'crowded'] as const) {
    links.handleLink({ kind: 'stranger', from: AT, reason }, 1);
  }
  t.same(Object.fromEntries(links.refused), {
    'not admitted': 2,
    protocol: 1,
    handshake: 1,
    timeout: 1,
    crowded: 1,
  });
  t.equal(links.size, 0);
  t.end();
});
