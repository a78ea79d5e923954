import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SystemResolver } from '../src/system-resolver.ts';

type Family = 'A' | 'AAAA';
/** What a name server says: addresses in bytes, an RCODE (RFC 1035 §4.1.1), or nothing at all. */
type Answer = readonly (readonly number[])[] | { readonly code: number } | 'silence';

const TYPES: Readonly<Record<number, Family>> = { 1: 'A', 28: 'AAAA' };
const NO_SUCH_NAME = { code: 3 } as const;
const SERVER_FAILURE = { code: 2 } as const;
const HEADER_BYTES = 12;
const LOOPBACK_IPV6 = [...Array<number>(15).fill(0), 1];
const never = new AbortController().signal;

/** A name server, and what it was asked for. */
async function nameServer(t: Test, answer: (name: string, family: Family) => Answer) {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query: Buffer, from: RemoteInfo) => {
    const labels: string[] = [];
    let at = HEADER_BYTES;
    for (let size = query[at] ?? 0; size > 0; size = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + size));
      at += 1 + size;
    }
    const family = TYPES[query.readUInt16BE(at + 1)];
    const question = query.subarray(HEADER_BYTES, at + 5);
    const name = labels.join('.').toLowerCase();
    asked.push(`${family} ${name}`);
    const said = family ? answer(name, family) : [];
    if (said === 'silence') return;
    const records = 'code' in said ? [] : said;
    const head = Buffer.from(query.subarray(0, HEADER_BYTES));
    head.writeUInt16BE(0x8180 | ('code' in said ? said.code : 0), 2);
    head.writeUInt16BE(records.length, 6);
    head.fill(0, 8);
    const parts = records.map((bytes) => {
      const type = bytes.length === 4 ? 1 : 28;
      return Buffer.from([0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 60, 0, bytes.length, ...bytes]);
    });
    socket.send(Buffer.concat([head, question, ...parts]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => void socket.close());
  return { servers: [`127.0.0.1:${socket.address().port}`], asked };
}

function hosts(t: Test, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'argyle-hosts-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'hosts');
  writeFileSync(file, text);
  return file;
}

const nobody = (name: string) =>
  Promise.reject(Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' }));

t.test('all addresses of both families are the answer', async (t) => {
  const { servers } = await nameServer(t, (_name, family) =>
    family === 'A'
      ? [
          [127, 0, 0, 2],
          [127, 0, 0, 3],
        ]
      : [LOOPBACK_IPV6],
  );
  const { resolve } = new SystemResolver({ servers, hostsFile: '/nowhere' });
  t.same(await resolve('node', never), ['127.0.0.2', '127.0.0.3', '::1']);
});

t.test('a name of the hosts file is not asked for', async (t) => {
  const { servers, asked } = await nameServer(t, () => [[127, 0, 0, 9]]);
  const hostsFile = hosts(
    t,
    '# 127.0.0.8 node\n127.0.0.2\tNODE other # 127.0.0.7\n::1 localhost node\nnonsense node\n',
  );
  const { resolve } = new SystemResolver({ servers, hostsFile });
  t.same(await resolve('node', never), ['127.0.0.2', '::1']);
  t.same(await resolve('Other', never), ['127.0.0.2']);
  t.same(asked, []);
  writeFileSync(hostsFile, '127.0.0.3 node\n');
  t.same(await resolve('node', never), ['127.0.0.3'], 'the file as it is now');
  t.same(await resolve('nod', never), ['127.0.0.9']);
});

t.test(
  'what a name server does not know is asked of the system, and then it is told',
  async (t) => {
    const { servers } = await nameServer(t, () => NO_SUCH_NAME);
    const options = { servers, hostsFile: '/nowhere' };
    const searched = new SystemResolver({ ...options, lookup: async () => ['192.0.2.1'] });
    t.same(await searched.resolve('short', never), ['192.0.2.1']);
    const { resolve } = new SystemResolver({ ...options, lookup: nobody });
    await t.rejects(resolve('short', never), { message: 'nobody knows the name (ENOTFOUND)' });
  },
);

t.test('a name server that fails is no reason to ask the system, which would ask it', async (t) => {
  const { servers } = await nameServer(t, () => SERVER_FAILURE);
  let asked = 0;
  const lookup = async () => {
    asked += 1;
    return ['192.0.2.1'];
  };
  const { resolve } = new SystemResolver({ servers, hostsFile: '/nowhere', lookup });
  await t.rejects(resolve('node', never), { message: 'no answer from a name server (ESERVFAIL)' });
  t.equal(asked, 0);
});

t.test('a family whose answer is lost is what it was', async (t) => {
  let lost = false;
  const { servers } = await nameServer(t, (_name, family) => {
    if (family === 'A') return lost ? [[127, 0, 0, 4]] : [[127, 0, 0, 2]];
    return lost ? SERVER_FAILURE : [LOOPBACK_IPV6];
  });
  const { resolve } = new SystemResolver({ servers, hostsFile: '/nowhere' });
  t.same(await resolve('node', never), ['127.0.0.2', '::1']);
  lost = true;
  t.same(await resolve('node', never), ['127.0.0.4', '::1']);
});

t.test('an abort ends it at once, though nobody has answered', async (t) => {
  const { servers, asked } = await nameServer(t, () => 'silence');
  const { resolve } = new SystemResolver({ servers, hostsFile: '/nowhere' });
  const controller = new AbortController();
  const ended = resolve('node', controller.signal);
  while (asked.length < 2) await new Promise((next) => setImmediate(next));
  controller.abort(new Error('enough'));
  await t.rejects(ended, { message: 'enough' });
  await t.rejects(resolve('node', controller.signal), { message: 'enough' });
});

t.test('a silent name holds up no other', async (t) => {
  const { servers } = await nameServer(t, (name) =>
    name.startsWith('silent') ? 'silence' : [[127, 0, 0, 2]],
  );
  const { resolve } = new SystemResolver({ servers, hostsFile: '/nowhere' });
  const controller = new AbortController();
  const silent = Array.from({ length: 20 }, (_, n) => resolve(`silent${n}`, controller.signal));
  t.same(await resolve('node', never), ['127.0.0.2']);
  controller.abort(new Error('enough'));
  const ends = await Promise.allSettled(silent);
  t.ok(ends.every(({ status }) => status === 'rejected'));
});

t.test('the system knows localhost', async (t) => {
  const addresses = await new SystemResolver().resolve('localhost', never);
  t.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'));
});
