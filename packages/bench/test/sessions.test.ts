import { add, write } from '../src/benchmarks/adds.ts';
import { get } from '../src/benchmarks/get.ts';
import { handshakes } from '../src/benchmarks/handshakes.ts';
import { testSmall } from './small.ts';

await testSmall([handshakes, add, write, get], 17_650);
