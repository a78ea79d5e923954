import t from 'tap';
import { HalfSipHash } from '../src/half-sip-hash.ts';
import { hex } from './fixture.ts';

const INPUT = Uint8Array.from({ length: 64 }, (_, i) => i);

function halfSipHash(hash: HalfSipHash, input: Uint8Array): string {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  hash.hash(view.getInt32(0, true), view, 4, input.length);
  const output = new DataView(new ArrayBuffer(8));
  output.setInt32(0, hash.low, true);
  output.setInt32(4, hash.high, true);
  return hex(new Uint8Array(output.buffer));
}

t.test('answers as the reference does for its key and messages', async (t) => {
  const hash = new HalfSipHash(INPUT.subarray(0, 8));
  // The reference's vectors_hsip64, by length of message: every remainder of the last word.
  const vectors: [number, string][] = [
    [4, 'd5e78a175be52ea1'],
    [5, 'cb9d7c3f2f3db580'],
    [6, 'ce3e91358aa2bc25'],
    [61, '313563a4b7ed5cf3'],
    [62, 'f90b3ab572d46693'],
    [63, '2ea63c71bf326087'],
  ];
  for (const [length, expected] of vectors) {
    t.equal(halfSipHash(hash, INPUT.subarray(0, length)), expected, `${length} bytes`);
  }
});

t.test('depends on every byte of key and message', async (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 8; i += 1) {
    const key = INPUT.slice(0, 8);
    key[i]! ^= 0x80;
    seen.add(halfSipHash(new HalfSipHash(key), INPUT));
  }
  const hash = new HalfSipHash(INPUT.subarray(0, 8));
  for (let i = 0; i < INPUT.length; i += 1) {
    const input = INPUT.slice();
    input[i]! ^= 1;
    seen.add(halfSipHash(hash, input));
  }
  t.equal(seen.size, 8 + INPUT.length);
});
