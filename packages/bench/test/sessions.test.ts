import { add } from '../src/benchmarks/add.ts';
import { get } from '../src/benchmarks/get.ts';
import { handshakes } from '../src/benchmarks/handshakes.ts';
import { testSmall } from './small.ts';

await testSmall([handshakes, add, get], 17_650);
