import { AssertionError } from 'node:assert/strict';
import { writeSync } from 'node:fs';
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from './config/node-config.ts';
import { LogSink } from './log-sink.ts';

const STDOUT = 1;

/**
 * One line of JSON a message on standard output, or coloured lines on a terminal. Written at once,
 * so that nothing is lost when the process ends.
 */
export function createLog(level: LogLevel, name: string): Logger {
  const stream = process.stdout.isTTY
    ? pretty({ colorize: true, sync: true, ignore: 'pid,hostname,name' })
    : new LogSink((bytes) => writeSync(STDOUT, bytes), linesLost);
  return pino({ level, name }, stream);
}

function linesLost(lines: number): string {
  const fields = { level: pino.levels.values['warn'], time: Date.now(), event: 'log-lines-lost' };
  return `${JSON.stringify({ ...fields, lines, msg: 'there was no room for them' })}\n`;
}

/**
 * What may be said of an error that nobody expected: its kind, its place, and its message where
 * that is our own or the system's. Other messages may quote the value that they are about.
 */
export function describeCrash(error: unknown): object {
  if (!(error instanceof Error)) return { event: 'crash', thrown: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const ours = error instanceof AssertionError && !error.generatedMessage;
  return {
    event: 'crash',
    error: error.name,
    ...('code' in error ? { code: String(error.code) } : {}),
    ...(ours || 'syscall' in error ? { reason: error.message } : {}),
    at: frames.map((line) => line.trim().slice('at '.length)),
  };
}
