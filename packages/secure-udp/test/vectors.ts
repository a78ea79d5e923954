import { encodeData } from '../src/content.ts';
import { readRecord } from '../src/record.ts';
import { RecordSealer } from '../src/record-sealer.ts';
import { type SuiteName, SUITES } from '../src/suite.ts';
import { encodeHello, encodeTake } from '../src/take.ts';
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

const PAYLOAD = Buffer.from('The quick brown fox');

/** The test vectors of PROTOCOL.md, by their titles there. */
export function vectors(): Map<string, Buffer> {
  const keys = keysOf('aes-128-gcm');
  const hello = encodeHello(ID, (sizeBytes) => counting(0x90, sizeBytes));
  const trigger = readRecord(hello, 0);
  if (typeof trigger === 'string') throw new Error(trigger);
  const all = new Map<string, Buffer>([
    ['secret', SECRET],
    ['HELLO', hello],
    ['TAKE', encodeTake(trigger, { epoch: EPOCH, nodeRandom: NODE_RANDOM }, keys)],
    ['adoption proof', keys.adoptionProof(counting(0xa0, 32))],
  ]);
  for (const suite of Object.keys(SUITES) as SuiteName[]) {
    const { clientToNode, nodeToClient } = ciphersOf(suite);
    const sealer = (cipher: typeof clientToNode) =>
      new RecordSealer({
        suite,
        cipher,
        association: ID,
        epoch: EPOCH,
        clientRandom: CLIENT_RANDOM,
      });
    const client = sealer(clientToNode);
    all.set(`${suite}, client to node, opening`, client.seal(encodeData(PAYLOAD), 'opening')!);
    all.set(`${suite}, client to node`, client.seal(encodeData(PAYLOAD))!);
    all.set(`${suite}, node to client`, sealer(nodeToClient).seal(encodeData(PAYLOAD))!);
  }
  return all;
}
