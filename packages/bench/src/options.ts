import { parseArgs } from 'node:util';
import { BenchError } from './bench-error.ts';

export interface BenchOptions {
  readonly names: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  /** A few seconds a benchmark: shows that all works, not how fast. */
  readonly small: boolean;
  /** Families of contenders; empty: all. */
  readonly only: readonly string[];
  /** Parts of names of loads; empty: all. */
  readonly loads: readonly string[];
  readonly json: boolean;
  readonly check: boolean;
  readonly write: boolean;
  readonly help: boolean;
  /** Where Argyle's processes leave CPU profiles. */
  readonly profile: string | undefined;
  /** Ports from here on are used. */
  readonly portBase: number;
}

export const USAGE = `scripts/bench NAME... | all [options]

  --rounds N      runs of everything, interleaved (3; with --small 1)
  --seconds S     of each run (3; with --small 0.5)
  --small         a few seconds a benchmark: shows that it works
  --only A,B      these contenders alone: argyle, direct, nginx, redis ...
  --load TEXT     only loads whose names contain it; may be repeated
  --json          the figures of every run, instead of tables
  --check         exit code 1 if a bar is missed
  --write         put the tables into packages/bench/README.md
  --profile DIR   CPU profiles of Argyle's processes
  --port-base N   ports from here on (17000)
  --help
`;

/** Throws a BenchError that says what is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const small = values.small ?? false;
  const options = {
    names: positionals,
    rounds: number('--rounds', values.rounds, small ? 1 : 3),
    seconds: number('--seconds', values.seconds, small ? 0.5 : 3),
    small,
    only: list(values.only),
    loads: values.load ?? [],
    json: values.json ?? false,
    check: values.check ?? false,
    write: values.write ?? false,
    help: values.help ?? false,
    profile: values.profile,
    portBase: number('--port-base', values['port-base'], 17_000),
  };
  if (!Number.isInteger(options.rounds)) throw usage('--rounds: wanted a whole number');
  if (options.write && (small || options.only.length > 0 || options.loads.length > 0))
    throw usage('--write: wanted whole tables, without --small, --only and --load');
  return options;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        small: { type: 'boolean' },
        only: { type: 'string' },
        load: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        check: { type: 'boolean' },
        write: { type: 'boolean' },
        profile: { type: 'string' },
        'port-base': { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause));
  }
}

function list(said: string | undefined): readonly string[] {
  return said === undefined ? [] : said.split(',').filter((each) => each !== '');
}

function number(option: string, said: string | undefined, otherwise: number): number {
  const value = said === undefined ? otherwise : Number(said);
  if (Number.isFinite(value) && value > 0) return value;
  throw usage(`${option}: found ${said}, wanted a number above 0`);
}

function usage(message: string): BenchError {
  return new BenchError('usage', message);
}
