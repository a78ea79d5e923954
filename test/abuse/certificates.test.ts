/** Certificates of strangers: anybody may show one, and it says whatever its maker likes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { missing, run } from '../real-cluster.ts';
import { AbusedCluster } from './abused-cluster.ts';
import { Echo, visitNode } from './good-client.ts';
import { body, nonZero } from './metrics.ts';
import { survives } from './ordeal.ts';
import { Peer } from './peer.ts';
import { greeting, login, METHOD_NONE, METHOD_PASSWORD } from './socks.ts';

/** A UTCTime's tag and length; the second one is notAfter. */
const UTC_TIME = Buffer.of(0x17, 13);
const NAME = 'stranger';
/** OpenSSL reads certificates of up to 100 KB; the runtime keeps sessions of up to 10 KiB. */
const MANY_NAMES = Array.from({ length: 2_500 }, (_, index) => `DNS:name-${index}.example.org`);

const noOpenssl = await missing('openssl');
t.setTimeout(90_000);

t.test('certificates that make no sense end no node', { skip: noOpenssl }, async (t) => {
  const cluster = await AbusedCluster.open();
  t.teardown(() => cluster.close());
  const made = async (name: string, ...args: readonly string[]) => {
    const file = join(cluster.home, `${name}.pem`);
    const pair = ['-keyout', `${file}.key`, '-out', file];
    const all = ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt'];
    const { code, output } = await run('openssl', [
      ...[...all, 'ec_paramgen_curve:prime256v1', '-days', '10'],
      ...[...pair, ...args],
    ]);
    if (code !== 0) throw new Error(output);
    return { cert: readFileSync(file, 'utf8'), key: readFileSync(`${file}.key`, 'utf8') };
  };
  const plain = await made('plain', '-subj', `/CN=${NAME}`);
  const der = Buffer.from(plain.cert.replace(/-----.*-----|\n/g, ''), 'base64');
  const dated = (end: string) => {
    const at = der.indexOf(UTC_TIME, der.indexOf(UTC_TIME) + 1) + UTC_TIME.length;
    return { ...plain, cert: pem(patched(der, at, Buffer.from(end))) };
  };
  const named = (tag: number) => {
    const at = der.lastIndexOf(NAME) - 2;
    return { ...plain, cert: pem(patched(der, at, Buffer.of(tag))) };
  };
  const shown = {
    'as it was': plain,
    'an end that is no date': dated('XXXXXXXXXXXXX'),
    'an end of zeros': dated('\0'.repeat(13)),
    'a thirteenth month': dated('491301000000Z'),
    'an end before 1970': dated('500101000000Z'),
    'an end in the past': dated('200101000000Z'),
    'no subject': await made('nobody', '-subj', '/'),
    'two names': await made('two', '-subj', '/CN=a/CN=b'),
    'a name in another encoding': named(0x1e),
    'many alternative names': await made(
      'many',
      ...['-subj', '/CN=many', '-addext', `subjectAltName=${MANY_NAMES.join(',')}`],
    ),
  };

  const node = await cluster.node();
  const echo = await Echo.open();
  t.teardown(() => echo.close());
  const survivor = { process: node, visit: () => visitNode(cluster, echo.port) };
  const [counted] = await survives(t, [survivor], async () => {
    for (const [name, pair] of Object.entries(shown)) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        // A ticket of TLS 1.3 comes only when the session was kept, or found not worth keeping.
        const stranger = await Peer.tls(cluster.nodePort, cluster.ca, { ...pair, maxVersion });
        stranger.send(greeting(METHOD_NONE));
        t.same([...(await stranger.read(2))], [5, METHOD_NONE], `${name}: no login by it`);
        await stranger.leave('close-notify');
        const user = await Peer.tls(cluster.nodePort, cluster.ca, { ...pair, maxVersion });
        user.send(greeting(METHOD_PASSWORD));
        await user.read(2);
        user.send(login('demo', cluster.password));
        t.same([...(await user.read(2))], [1, 0], `${name}: a password is one all the same`);
        await user.leave('close-notify');
        node.assertAlive();
      }
    }
    const sessions = await body(`http://127.0.0.1:${node.adminPort}/api/v1/sessions?limit=1000`);
    t.ok(Array.isArray(JSON.parse(sessions)), 'operators see the sessions');
  });
  const logins = nonZero(counted!.by('logins_total'));
  const count = 2 * Object.keys(shown).length;
  t.same(logins, { none: count, password: count + 1 }, 'nobody logs in by a certificate');
  t.equal(counted!.by('login_writes_total')['failed'], 0);
  t.comment('sessions: ', JSON.stringify(nonZero(counted!.by('tls_sessions_total'))));
});

function patched(source: Buffer, at: number, bytes: Buffer): Buffer {
  return Buffer.concat([source.subarray(0, at), bytes, source.subarray(at + bytes.length)]);
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
