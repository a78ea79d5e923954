import { connect } from '../src/benchmarks/connect.ts';
import { testSmall } from './small.ts';

await testSmall([connect], 17_150);
