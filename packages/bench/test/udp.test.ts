import { udp } from '../src/benchmarks/udp.ts';
import { testSmall } from './small.ts';

// Either size once, one at a rate and one as fast as it goes: the others differ in figures only.
const loads = udp.loads.filter((_, index) => index === 0 || index === udp.loads.length - 1);
await testSmall([{ ...udp, loads }], 17_560);
