import { idle } from '../src/benchmarks/idle.ts';
import { testSmall } from './small.ts';

await testSmall([idle], 17_400, { memory: true });
