import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run, type Service } from '../src/service.ts';
import { folder } from './fixture.ts';
import { until } from './run-argyle.ts';

const never = <Result>() => new Promise<Result>(() => undefined);
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A service that notes what is asked of it. */
function service(changes: Partial<Service> = {}) {
  const asked: string[] = [];
  const note = (step: string) => {
    asked.push(step);
    return Promise.resolve();
  };
  const made: Service = {
    open: () => note('open'),
    start: () => note('start'),
    failure: never(),
    drain: () => note('drain'),
    stop: () => note('stop'),
    ...changes,
  };
  return { asked, service: made };
}

const signal = (name: NodeJS.Signals) => process.kill(process.pid, name);

t.test('a signal drains, then stops', async (t) => {
  const { asked, service: made } = service();
  const pidFile = join(folder(t), 'pid');
  const ran = run(made, { log: silent, pidFile });
  await until(() => asked.includes('start'));
  t.equal(readFileSync(pidFile, 'utf8'), `${process.pid}\n`);
  signal('SIGTERM');
  await ran;
  t.same(asked, ['open', 'start', 'drain', 'stop']);
  t.equal(existsSync(pidFile), false);
});

t.test('a second signal ends the drain', async (t) => {
  let draining = false;
  const drain = () => {
    draining = true;
    return never<void>();
  };
  const { asked, service: made } = service({ drain });
  const ran = run(made, { log: silent, pidFile: undefined });
  await until(() => asked.includes('start'));
  signal('SIGTERM');
  await until(() => draining);
  signal('SIGINT');
  await ran;
  t.same(asked, ['open', 'start', 'stop']);
});

t.test('a signal while it starts stops it', async (t) => {
  const stopped = Promise.withResolvers<void>();
  const { asked, service: made } = service({ start: () => stopped.promise });
  const stop = () => {
    asked.push('stop');
    stopped.reject(new Error('stopped while it started'));
    return Promise.resolve();
  };
  const ran = run({ ...made, stop }, { log: silent, pidFile: undefined });
  await until(() => asked.includes('open'));
  signal('SIGTERM');
  await ran;
  t.same(asked, ['open', 'stop']);
});

t.test('one that cannot start or go on is stopped, and says why', async (t) => {
  const reason = new Error('the port is taken');
  const start = () => Promise.reject(reason);
  const early = service({ start });
  await t.rejects(run(early.service, { log: silent, pidFile: undefined }), reason);
  t.same(early.asked, ['open', 'stop']);

  const failure = Promise.withResolvers<never>();
  const late = service({ failure: failure.promise });
  const ran = run(late.service, { log: silent, pidFile: undefined });
  await until(() => late.asked.includes('start'));
  failure.reject(reason);
  await t.rejects(ran, reason);
  t.same(late.asked, ['open', 'start', 'stop']);
});

t.test('a stop that hangs does not keep the process', async (t) => {
  const { asked, service: made } = service({ stop: () => never() });
  const ran = run(made, { log: silent, pidFile: undefined });
  await until(() => asked.includes('start'));
  signal('SIGTERM');
  await ran;
  t.same(asked, ['open', 'start', 'drain']);
});

t.test("another process's pid file stays", async (t) => {
  const pidFile = join(folder(t), 'pid');
  writeFileSync(pidFile, '1\n');
  const open = () => Promise.reject(new Error('taken'));
  await t.rejects(run(service({ open }).service, { log: silent, pidFile }));
  t.equal(readFileSync(pidFile, 'utf8'), '1\n');
});
