import type { Benchmark } from '../benchmark.ts';
import { add, write } from './adds.ts';
import { bulk } from './bulk.ts';
import { connect } from './connect.ts';
import { flow } from './flow.ts';
import { get } from './get.ts';
import { handshakes } from './handshakes.ts';
import { idle } from './idle.ts';
import { records } from './records.ts';
import { scale } from './scale.ts';
import { udp } from './udp.ts';

/** In the order in which they are run and documented. */
export const benchmarks: readonly Benchmark[] = [
  handshakes,
  add,
  write,
  get,
  connect,
  bulk,
  idle,
  records,
  udp,
  flow,
  scale,
];
