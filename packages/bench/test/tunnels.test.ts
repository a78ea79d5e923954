import { bulk } from '../src/benchmarks/bulk.ts';
import { connect } from '../src/benchmarks/connect.ts';
import { idle } from '../src/benchmarks/idle.ts';
import { testSmall } from './small.ts';

await testSmall([connect, bulk, idle], 17_400);
