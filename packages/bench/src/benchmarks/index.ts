import type { Benchmark } from '../benchmark.ts';
import { bulk } from './bulk.ts';
import { connect } from './connect.ts';
import { handshakes } from './handshakes.ts';
import { idle } from './idle.ts';

/** In the order in which they are run and documented. */
export const benchmarks: readonly Benchmark[] = [handshakes, connect, bulk, idle];
