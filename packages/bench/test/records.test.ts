import { records } from '../src/benchmarks/records.ts';
import { testSmall } from './small.ts';

await testSmall([records], 17_550);
