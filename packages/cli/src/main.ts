import { setFlagsFromString } from 'node:v8';
import { createProgram } from './program.ts';
import { runProgram } from './run-program.ts';

/**
 * V8 keeps a small heap small: with 20 MB in use it marked all of it ten times a second under load,
 * which was half of the processor time of a CONNECT and a fifth of that of a gigabyte. So it may
 * grow to three times what is in use before V8 looks again.
 */
setFlagsFromString('--heap-growing-percent=200');

/** A process ends when nothing is left to do; what was left open by mistake keeps it no longer. */
const LINGER_MS = 2_000;

// Whoever read it has gone, or the disk is full: what was asked for is done all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.exitCode = await runProgram(createProgram(), process.argv);
setTimeout(() => process.exit(), LINGER_MS).unref();
