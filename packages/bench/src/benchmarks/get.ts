import { argyle } from '../argyle.ts';
import type { Benchmark, Contender, Sample } from '../benchmark.ts';
import { formatNumber } from '../figures.ts';
import { MemberGroup } from '../member-group.ts';
import { redis } from '../peers/redis.ts';
import { runLoad } from '../tools.ts';

const RECORDS = 100_000;
const RECORDS_SMALL = 5_000;
const VALUE_BYTES = 300;
const CONNECTIONS = 16;
const ANY = 'any record';
const MAP = 'Map<string, Buffer>';
const peer = redis(0);

export const get: Benchmark = {
  name: 'get',
  question:
    'What does a GET of 300 bytes from a replica in the process cost, beside a Map and Redis over its socket?',
  loads: [ANY],
  contenders: [
    argyle('argyle', inProcess('replica')),
    { family: 'map', name: MAP, needs: [], open: inProcess('map') },
    {
      family: 'redis',
      name: `redis GET, ${CONNECTIONS} connections`,
      needs: peer.needs,
      async open(site) {
        const servers = await peer.open(site);
        const keys = site.small ? RECORDS_SMALL : RECORDS;
        const common = { to: servers.primary, value: VALUE_BYTES, keys, conc: CONNECTIONS };
        await runLoad('respload', { ...common, mode: 'set', count: keys, secs: 60 });
        const pids = servers.processes.map(({ pid }) => pid).join(',');
        const options = { ...common, mode: 'get', pids };
        return {
          async measure() {
            const { seconds: secs, warmSeconds: warm } = site;
            const run = await runLoad('respload', { ...options, secs, warm });
            const each = (cpuSeconds: number) => (cpuSeconds * 1e6) / run.done;
            const [cpuUs, askerUs] = [each(run.cpu_s[0] ?? 0), each(run.own_cpu_s)];
            return { rate: run.done / run.secs, cpuUs, askerUs, allUs: cpuUs + askerUs };
          },
          [Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
        };
      },
    },
  ],
  columns: [
    { figure: 'rate', title: 'a second', digits: 0 },
    { figure: 'cpuUs', title: 'CPU µs, store', digits: 2 },
    { figure: 'askerUs', title: 'CPU µs, asker', digits: 2 },
    { figure: 'allUs', title: 'CPU µs, both', digits: 2 },
  ],
  baseline: { contender: MAP, figures: [{ figure: 'allUs', title: 'CPU' }] },
  bars: [],
  fresh: false,
  notes: [
    `${formatNumber(RECORDS, 0)} records, random keys of 32 bytes, given as bytes; a Map wants them as a string. The replica answers with a copy of the value, the Map with the value itself.`,
  ],
};

function inProcess(store: 'replica' | 'map'): Contender['open'] {
  return async (site) => {
    await using stack = new AsyncDisposableStack();
    const options = { members: 1, valueBytes: VALUE_BYTES };
    const [member] = stack.use(await MemberGroup.open(site, options)).members;
    await member.ask({ kind: 'fill', records: site.small ? RECORDS_SMALL : RECORDS });
    const owned = stack.move();
    return {
      async measure(): Promise<Sample> {
        const answer = await member.ask({ kind: 'get', store, seconds: site.seconds });
        const { done = 0, seconds = 0, cpuSeconds = 0 } = answer;
        const cpuUs = (cpuSeconds * 1e6) / done;
        return { rate: done / seconds, cpuUs, allUs: cpuUs };
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  };
}
