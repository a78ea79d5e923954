import { bulk } from '../src/benchmarks/bulk.ts';
import { testSmall } from './small.ts';

await testSmall([bulk], 17_000);
