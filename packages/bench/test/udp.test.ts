import { udp } from '../src/benchmarks/udp.ts';
import { testSmall } from './small.ts';

await testSmall([udp], 17_560);
