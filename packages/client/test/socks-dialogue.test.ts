import t from 'tap';
import { decodeReply, SocksDialogue, type DialogueEvent } from '../src/socks-dialogue.ts';

const USER = { name: 'demo', password: 'sesame' };
const IPV4_REPLY = Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0x1f, 0x90]);
const IPV6_REPLY = Buffer.from([5, 0, 0, 4, ...Buffer.alloc(16, 7), 0, 80]);
const NAME_REPLY = Buffer.from([5, 0, 0, 3, 3, ...Buffer.from('abc'), 0, 80]);
const REFUSAL = Buffer.from([5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);

/** Feeds the bytes whole and one at a time; both must give the same events. */
function hear(prepare: () => SocksDialogue, bytes: Buffer): DialogueEvent[] {
  const whole = prepare().receive(bytes);
  const slow = prepare();
  const events: DialogueEvent[] = [];
  for (const byte of bytes) {
    const event = slow.receive(Buffer.from([byte]));
    if (event) events.push(event);
  }
  t.same(events[0], whole, 'whole and byte by byte are the same');
  return whole ? [whole] : [];
}

function greeted() {
  return greetedBy(USER);
}

function greetedBy(user: typeof USER | undefined) {
  const dialogue = new SocksDialogue(user);
  dialogue.greeting();
  return dialogue;
}

t.test('one greeting offers all that the client can do', async (t) => {
  t.same(new SocksDialogue(USER).greeting(), Buffer.from([5, 2, 0, 2]));
  t.same(new SocksDialogue(undefined).greeting(), Buffer.from([5, 1, 0]));
});

t.test('a node that knows the login asks for no password', async (t) => {
  t.same(hear(greeted, Buffer.from([5, 0])), [{ kind: 'ready' }]);
});

t.test('a node that asks for the password gets it, and its verdict counts', async (t) => {
  t.same(hear(greeted, Buffer.from([5, 2])), [{ kind: 'challenged' }]);
  const challenged = () => {
    const dialogue = greeted();
    dialogue.receive(Buffer.from([5, 2]));
    t.same(
      dialogue.password(),
      Buffer.from([1, 4, ...Buffer.from('demo'), 6, ...Buffer.from('sesame')]),
    );
    return dialogue;
  };
  t.same(hear(challenged, Buffer.from([1, 0])), [{ kind: 'ready' }]);
  t.same(hear(challenged, Buffer.from([1, 1])), [{ kind: 'refused', by: 'password' }]);
  t.match(hear(challenged, Buffer.from([5, 0])), [{ kind: 'violated' }]);
});

t.test('a node may refuse all methods, but select none that was not offered', async (t) => {
  t.same(hear(greeted, Buffer.from([5, 0xff])), [{ kind: 'refused', by: 'methods' }]);
  t.match(hear(greeted, Buffer.from([5, 1])), [{ kind: 'violated' }]);
  t.match(
    hear(() => greetedBy(undefined), Buffer.from([5, 2])),
    [{ kind: 'violated' }],
  );
});

t.test('a reply is one with every kind of address, and nothing more or less is', async (t) => {
  for (const reply of [IPV4_REPLY, IPV6_REPLY, NAME_REPLY, REFUSAL]) {
    t.same(decodeReply(reply), { code: reply[1], bytes: reply });
    t.equal(decodeReply(Buffer.concat([reply, Buffer.from('x')])), undefined);
    for (let size = 0; size < reply.length; size += 1) {
      t.equal(decodeReply(reply.subarray(0, size)), undefined, `${size} bytes are none`);
    }
  }
  t.equal(decodeReply(Buffer.from('HTTP/1.1 4')), undefined);
  t.equal(decodeReply(Buffer.from([5, 0, 0, 9, 0, 0, 0, 0, 0, 0])), undefined);
});

t.test('what is no SOCKS5 server is told from one that is slow', async (t) => {
  t.match(greeted().receive(Buffer.from('HTTP/1.1 400')), { kind: 'violated' });
  t.match(greeted().receive(Buffer.from([5, 0, 5])), { kind: 'violated' }, 'nothing was asked yet');
});
