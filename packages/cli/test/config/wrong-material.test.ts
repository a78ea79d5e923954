/** Every file that a configuration names can be wrong, and is told at the key that names it. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PASSWORD_HASH } from '../fixture.ts';
import { cut, inNode, remove, tellEach, write, type Wrong } from './wrong.ts';

/** Writes one of a certificate's two dates anew: the bytes of an X.690 §11.8 UTCTime. */
const redate = (name: string, which: 'from' | 'to', date: string) => (folder: string) => {
  const { raw } = new X509Certificate(readFileSync(join(folder, name)));
  const utcTime = Buffer.of(0x17, 13);
  const from = raw.indexOf(utcTime);
  const at = which === 'from' ? from : raw.indexOf(utcTime, from + 1);
  raw.write(date, at + utcTime.length, 'latin1');
  const lines = raw.toString('base64').match(/.{1,64}/g) ?? [];
  const pem = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''];
  write(name, pem.join('\n'))(folder);
};

const KEY_WANTED = 'wanted a cluster key of 32 random bytes, as `argyle init` writes it';
const PEM_KEY_WANTED = 'wanted a PEM private key without a passphrase';

const CASES: readonly Wrong[] = [
  {
    title: 'a certificate that is missing',
    spoil: remove('node.pem'),
    told: 'node-1.yaml:5: tls.certificate: found node.pem: no such file, wanted a PEM certificate',
  },
  {
    title: 'a damaged certificate',
    spoil: (folder) =>
      write(
        'node.pem',
        readFileSync(join(folder, 'node.pem'), 'utf8').replace('MII', 'MIA'),
      )(folder),
    told: 'node-1.yaml:5: tls.certificate: found node.pem: a damaged certificate, wanted a PEM certificate',
  },
  {
    title: 'a key where the certificate should be',
    spoil: inNode('certificate: node.pem', 'certificate: node.key.pem'),
    told: 'node-1.yaml:5: tls.certificate: found node.key.pem: a file without a PEM certificate, wanted a PEM certificate',
  },
  {
    title: 'a certificate that expired',
    spoil: inNode('node.pem\n  key: node.key.pem', 'expired.pem\n  key: expired.key.pem'),
    told: /^node-1\.yaml:5: tls\.certificate: found expired\.pem with a certificate that expired on \d{4}-.*, wanted a valid one$/,
  },
  {
    title: 'a certificate that is not valid yet',
    spoil: inNode('node.pem\n  key: node.key.pem', 'early.pem\n  key: early.key.pem'),
    told: /^node-1\.yaml:5: tls\.certificate: found early\.pem with a certificate that is not valid before \d{4}-.*, wanted a valid one$/,
  },
  {
    title: 'a certificate whose end is no date',
    spoil: redate('node.pem', 'to', 'XXXXXXXXXXXXX'),
    told: 'node-1.yaml:5: tls.certificate: found node.pem with a certificate whose dates cannot be read, wanted a valid one',
  },
  {
    title: 'a certificate whose beginning is no date',
    spoil: redate('node.pem', 'from', '491301000000Z'),
    told: 'node-1.yaml:5: tls.certificate: found node.pem with a certificate whose dates cannot be read, wanted a valid one',
  },
  {
    title: 'an authority whose end is no date',
    spoil: redate('ca.pem', 'to', '\0'.repeat(13)),
    told: 'node-1.yaml:7: tls.ca: found ca.pem with a certificate whose dates cannot be read, wanted a valid one',
  },
  {
    title: "a certificate without the cluster's name",
    spoil: inNode('node.pem\n  key: node.key.pem', 'other.pem\n  key: other.key.pem'),
    told: 'node-1.yaml:5: tls.certificate: found other.pem with DNS:other.cluster, DNS:node-1, wanted a certificate for DNS:argyle.cluster',
  },
  {
    title: 'the key of another certificate',
    spoil: inNode('key: node.key.pem', 'key: other.key.pem'),
    told: 'node-1.yaml:6: tls.key: found other.key.pem, the key of another certificate, wanted the key of node.pem',
  },
  {
    title: 'a damaged key',
    spoil: cut('node.key.pem'),
    told: `node-1.yaml:6: tls.key: found node.key.pem: a damaged private key, ${PEM_KEY_WANTED}`,
  },
  {
    title: 'a key with a passphrase',
    spoil: (folder) => {
      const { privateKey } = generateKeyPairSync('ec', {
        namedCurve: 'P-256',
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: {
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-128-cbc',
          passphrase: 'hunter2',
        },
      });
      write('node.key.pem', privateKey)(folder);
    },
    told: `node-1.yaml:6: tls.key: found node.key.pem: a key that is encrypted with a passphrase, ${PEM_KEY_WANTED}`,
  },
  {
    title: 'an authority that is missing',
    spoil: inNode('ca: ca.pem', 'ca: nothing/ca.pem'),
    told: 'node-1.yaml:7: tls.ca: found nothing/ca.pem: no such file, wanted PEM certificates of certificate authorities',
  },
  {
    title: 'an authority that is none',
    spoil: inNode('ca: ca.pem', 'ca: alice.pem'),
    told: "node-1.yaml:7: tls.ca: found alice.pem with a certificate that is no authority's, wanted PEM certificates of certificate authorities",
  },
  {
    title: 'an authority that expired',
    spoil: inNode('ca: ca.pem', 'ca: old-ca.pem'),
    told: /^node-1\.yaml:7: tls\.ca: found old-ca\.pem with a certificate that expired on .*, wanted a valid one$/,
  },
  {
    title: 'a revocation list that is none',
    spoil: inNode('  ca: ca.pem', '  ca: ca.pem\n  crls: [ca.pem]'),
    told: 'node-1.yaml:8: tls.crls.0: found ca.pem: a file without a PEM revocation list, wanted a PEM revocation list',
  },
  {
    title: 'a cluster key that is missing',
    spoil: remove('cluster.key'),
    told: `node-1.yaml:9: group.clusterKey: found cluster.key: no such file, ${KEY_WANTED}`,
  },
  {
    title: 'a cluster key of another length',
    spoil: write(
      'cluster.key',
      `argyle cluster key 1\n${Buffer.alloc(16, 9).toString('base64')}\n`,
    ),
    told: `node-1.yaml:9: group.clusterKey: found cluster.key: a key of 16 bytes, ${KEY_WANTED}`,
  },
  {
    title: 'a passphrase for a cluster key',
    spoil: write(
      'cluster.key',
      `argyle cluster key 1\n${Buffer.from('correct horse battery staple 123').toString('base64')}\n`,
    ),
    told: `node-1.yaml:9: group.clusterKey: found cluster.key: a key that is a passphrase, not random bytes, ${KEY_WANTED}`,
  },
  {
    title: 'the cluster key itself in the configuration',
    spoil: inNode(
      'clusterKey: cluster.key',
      `clusterKey: ${Buffer.alloc(32, 7).toString('base64')}`,
    ),
    told: 'node-1.yaml:9: group.clusterKey: found what looks like the key itself, wanted the path of a file that holds the key',
  },
  {
    title: 'the private key itself in the configuration',
    spoil: inNode('node.key.pem', '"-----BEGIN PRIVATE KEY----- hunter2"'),
    told: 'node-1.yaml:6: tls.key: found what looks like the contents of a file, wanted the path of a PEM private key without a passphrase',
  },
  {
    title: 'a list of users that is missing',
    spoil: remove('users.yaml'),
    told: 'users.yaml: found no such file, wanted a YAML file that can be read',
  },
  {
    title: 'a password in clear in the list of users',
    spoil: write('users.yaml', 'demo:\n  password: hunter2\n'),
    told: 'users.yaml:2: demo.password: found a value that is not shown, wanted a hash made by `argyle user add`',
  },
  {
    title: 'a password hash that no node can afford',
    spoil: write(
      'users.yaml',
      `demo:\n  password: ${PASSWORD_HASH.replace('32768', '67108864')}\n`,
    ),
    told: 'users.yaml:2: demo.password: found a value that is not shown, wanted a hash made by `argyle user add`',
  },
  {
    title: 'a user without a password',
    spoil: write('users.yaml', 'demo:\n  groups: [staff]\n'),
    told: 'users.yaml:1: demo.password: found nothing, wanted a hash made by `argyle user add`',
  },
  {
    title: 'a user whose name has a space',
    spoil: write('users.yaml', `de mo:\n  password: ${PASSWORD_HASH}\n`),
    told: 'users.yaml:1: de mo: found this key, wanted a user name without spaces of 1 to 255 bytes',
  },
  {
    title: 'a user whose name is longer than SOCKS can say',
    spoil: write('users.yaml', `${'ü'.repeat(128)}:\n  password: ${PASSWORD_HASH}\n`),
    told: /: found this key, wanted a user name without spaces of 1 to 255 bytes$/,
  },
  {
    title: 'a list of users that is no YAML',
    spoil: write('users.yaml', 'demo:\n  password: "hunter2\n'),
    told: 'users.yaml:3: found Missing closing "quote, wanted YAML',
  },
];

tellEach(CASES);
