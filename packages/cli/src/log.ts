import { AssertionError } from 'node:assert/strict';
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from './config/node-config.ts';

/**
 * One line of JSON a message on standard output, or coloured lines on a terminal. Written at once,
 * so that nothing is lost when the process ends.
 */
export function createLog(level: LogLevel, name: string): Logger {
  const stream = process.stdout.isTTY
    ? pretty({ colorize: true, sync: true, ignore: 'pid,hostname,name' })
    : pino.destination({ fd: 1, sync: true });
  return pino({ level, name }, stream);
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
