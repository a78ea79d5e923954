import { createProgram } from './program.ts';
import { runProgram } from './run-program.ts';

/** A process ends when nothing is left to do; what was left open by mistake keeps it no longer. */
const LINGER_MS = 2_000;

// Whoever read it has gone, or the disk is full: what was asked for is done all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.exitCode = await runProgram(createProgram(), process.argv);
setTimeout(() => process.exit(), LINGER_MS).unref();
