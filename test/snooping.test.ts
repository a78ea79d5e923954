import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { run, until } from './real-cluster.ts';
import { Switch } from './switch.ts';
import { Tool } from './tool.ts';

const MAIN = resolve(import.meta.dirname, '..', 'packages', 'cli', 'src', 'main.ts');
const GROUP = '239.192.0.1';
const BASE = 21_080;
const ADMIN_PORT = 12_081;
const NODES = [1, 2, 3] as const;
/** Of the wall clock, where the bounds of members are 1.5 and 3 s: machines of tests are slow. */
const NOTICED_MS = 15_000;

t.setTimeout(110_000);

t.test('nodes at a switch that forgets who listens', { skip: await Switch.whyNot() }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'argyle-switch-'));
  const network = await Switch.open(GROUP, NODES.length);
  const nodes: Tool[] = [];
  t.teardown(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await network.remove();
    rmSync(home, { recursive: true, force: true });
  });
  const ports = ['--port-base', `${BASE}`, '--client-port', `${BASE + 99}`];
  await run(process.execPath, [MAIN, 'init', '--home', home, '--nodes', '3', ...ports]);
  for (const index of NODES) {
    const file = join(home, `node-${index}.yaml`);
    const address = network.address(index);
    const said = readFileSync(file, 'utf8')
      .replace(/^admin: .*$/m, `admin: ${address}:${ADMIN_PORT}`)
      .replace(/^ {2}interface: .*$/m, `  interface: ${address}`)
      .replace(/^ {2}address: .*$/m, `  address: ${GROUP}:13080`)
      .replace(/^ {2}members: .*$/m, '  members: []');
    writeFileSync(file, said);
    nodes.push(new Tool(...network.at(index), process.execPath, MAIN, 'node', '--config', file));
  }
  const admins = NODES.map((index) => `http://${network.address(index)}:${ADMIN_PORT}`);
  const status = async () => {
    const asked = ['status', ...admins.flatMap((admin) => ['--admin', admin])];
    const [command, ...args] = [...network.at(1), process.execPath, MAIN, ...asked];
    return run(command, args);
  };
  const hears = async (...rows: RegExp[]) => {
    const { code, output } = await status();
    return code === 0 && rows.every((row) => row.test(output));
  };
  const log = (index: number) => nodes[index - 1]?.said ?? '';
  const exclusions = () =>
    NODES.reduce((sum, index) => sum + log(index).split('member gone').length, 0);
  const ALL: RegExp[] = [
    /^hears +node-1 +node-2 +node-3$/m,
    /^node-1 +- +(both|multicast) +(both|multicast)$/m,
    /^node-2 +(both|multicast) +- +(both|multicast)$/m,
    /^node-3 +(both|multicast) +(both|multicast) +-$/m,
  ];
  await until('all hear all by multicast', 30_000, () => hears(...ALL));
  const gone = exclusions();

  await t.test('it is told again', async (t) => {
    await until('the switch knows', NOTICED_MS, () => network.knows(2));
    await network.forget(2);
    t.notOk(await network.knows(2));
    await until('joined anew', NOTICED_MS, () => log(2).includes('joining the multicast group'));
    await until('the switch knows', NOTICED_MS, () => network.knows(2));
    await until('all hear all by multicast', NOTICED_MS, () => hears(...ALL));
  });

  await t.test(
    'where telling it does not help, unicast does, until multicast is back',
    async (t) => {
      await network.cutMulticast(2);
      await until('one hears by unicast', NOTICED_MS, () =>
        hears(/^node-1 +- +(both|multicast) +(both|multicast)$/m, /^node-2 +unicast +- +unicast$/m),
      );
      await until('it says so', NOTICED_MS, () => log(2).includes('its multicast comes no more'));
      await network.heal(2);
      await until('it says so', NOTICED_MS, () => log(2).includes('its multicast comes again'));
      await until('all hear all by multicast', NOTICED_MS, () => hears(...ALL));
      t.equal(exclusions(), gone, 'nobody was excluded meanwhile');
    },
  );
});
