import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SUITES, type SuiteName } from '@argyle/secure-udp';
import { profileFlags } from '../argyle.ts';
import { BenchError } from '../bench-error.ts';
import type { Benchmark, Contender, Sample } from '../benchmark.ts';
import { formatNumber } from '../figures.ts';
import type { RecordFigures, RecordWork } from '../record-work.ts';
import type { Site } from '../site.ts';

const PROGRAM = fileURLToPath(new URL('../record-work.ts', import.meta.url));
const BARE = 'node:crypto, AES-128-GCM';
const SIZES: ReadonlyMap<string, number> = new Map(
  [200, 1_200].map((size) => [`${formatNumber(size, 0)} B`, size]),
);
const run = promisify(execFile);

export const records: Benchmark = {
  name: 'records',
  question:
    'What does it cost to seal and to open a record of secure UDP, by suite, beside the calls of node:crypto alone?',
  loads: [...SIZES.keys()],
  contenders: [
    ...Object.keys(SUITES).map((suite) =>
      argyle('ciphers', suite as SuiteName, `argyle, ${suite}`),
    ),
    argyle('machines', 'aes-128-gcm', 'argyle, client and node'),
    { ...argyle('bare', 'aes-128-gcm', BARE), family: 'node' },
  ],
  columns: [
    { figure: 'sealed', title: 'sealed a CPU second', digits: 0 },
    { figure: 'opened', title: 'opened a CPU second', digits: 0 },
    { figure: 'sealUs', title: 'CPU µs, seal', digits: 2 },
    { figure: 'openUs', title: 'CPU µs, open', digits: 2 },
    { figure: 'bothUs', title: 'CPU µs, both', digits: 2 },
  ],
  baseline: { contender: BARE, figures: [{ figure: 'bothUs', title: 'CPU, both' }] },
  bars: [],
  fresh: false,
  notes: [
    "Each in a process that does nothing else. Client and node are both sides' machines without sockets, with AES-128-GCM: what they do, receipts included, for one payload in one direction, of payloads that go there and back one by one.",
  ],
};

function argyle(kind: RecordWork['kind'], suite: SuiteName, name: string): Contender {
  const open = (site: Site) =>
    Promise.resolve({
      measure: (load: string) => measure(site, { kind, suite }, load),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  return { family: 'argyle', name, needs: [], open };
}

async function measure(
  site: Site,
  { kind, suite }: Pick<RecordWork, 'kind' | 'suite'>,
  load: string,
): Promise<Sample> {
  const payloadBytes = SIZES.get(load) ?? 0;
  const work: RecordWork = { kind, suite, payloadBytes, seconds: site.seconds };
  const flags = profileFlags(site.profile, `records-${kind}-${suite}-${payloadBytes}`);
  // A test runner hooks its children by NODE_OPTIONS; what is measured has no hooks.
  const { NODE_OPTIONS: _hooks, ...env } = process.env;
  const args = [...flags, PROGRAM, JSON.stringify(work)];
  const { stdout } = await run(process.execPath, args, { env }).catch((cause: Error) => {
    throw new BenchError('run', `${kind}, ${suite}: ${cause.message}`, { cause });
  });
  return { ...(JSON.parse(stdout) as RecordFigures) };
}
