import { hkdfSync } from 'node:crypto';
import t from 'tap';
import { SUITES } from '../src/suite.ts';
import {
  ciphersOf,
  CLIENT_RANDOM,
  counting,
  EPOCH,
  ID,
  keysOf,
  NODE_RANDOM,
  SECRET,
} from './fixture.ts';

t.test('the keys are those of HKDF (RFC 5869) as the platform makes it', (t) => {
  const suite = SUITES['aes-128-cbc-hmac-sha256'];
  const info = Buffer.concat([
    Buffer.from('client to node'),
    Buffer.of(suite.number),
    Buffer.from(ID + EPOCH, 'hex'),
    NODE_RANDOM,
    CLIENT_RANDOM,
  ]);
  const material = Buffer.from(
    hkdfSync('sha256', SECRET, 'argyle udp 1', info, suite.materialBytes),
  );
  const header = counting(3, 29);
  const record = suite.cipher(material, () => counting(4, 16)).seal(header, 9, counting(5, 30));
  const { clientToNode, nodeToClient } = ciphersOf('aes-128-cbc-hmac-sha256');
  t.same(clientToNode.open(record, 29, 9), counting(5, 30));
  t.equal(nodeToClient.open(record, 29, 9), undefined);
  t.end();
});

t.test('an adoption is proven for one TLS connection, by who has the secret', (t) => {
  const keys = keysOf('aes-128-gcm');
  const proof = keys.adoptionProof(counting(1, 32));
  t.ok(keys.verifiesAdoption(counting(1, 32), proof));
  t.notOk(keys.verifiesAdoption(counting(2, 32), proof), 'on another connection');
  t.notOk(keysOf('aes-128-gcm', counting(0, 32)).verifiesAdoption(counting(1, 32), proof));
  t.notOk(keys.verifiesAdoption(counting(1, 32), proof.subarray(1)), 'cut');
  t.notOk(keys.verifiesAdoption(counting(1, 32), new Uint8Array(0)));
  t.throws(() => keys.adoptionProof(counting(1, 31)), /32 bytes, not 31/);
  t.end();
});
