import { Admin } from '@argyle/admin';
import type { Log } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import { keyId } from '@argyle/multicast';
import { Node } from '@argyle/node';
import { findKeyRing } from '../config/key-ring.ts';
import { loadNodeConfig, type LogLevel, type NodeConfig } from '../config/node-config.ts';
import { readUsers } from '../config/users-file.ts';
import { CliError } from '../exit-code.ts';
import { FileWatch } from '../file-watch.ts';
import { createLog } from '../log.ts';
import { printConfig } from '../print-config.ts';
import { run } from '../service.ts';

export interface ServeOptions {
  readonly config: string;
  readonly pidFile?: string;
  readonly logLevel?: LogLevel;
  readonly printConfig?: true;
}

export async function node(said: ServeOptions): Promise<void> {
  const host = new SystemHost();
  const config = loadNodeConfig(said.config, host.now() + host.wallOffset());
  if (said.printConfig) return printConfig(config);

  const { options } = config;
  const log = createLog(said.logLevel ?? config.logLevel, options.name);
  for (const warning of config.warnings) log.warn({ event: 'configuration' }, warning);
  const failure = Promise.withResolvers<never>();
  const failed = (cause: Error) =>
    failure.reject(new CliError('failed', 'the node cannot go on', { cause }));
  const node = new Node({ host, options, log, failed });
  const admin = new Admin({ source: node, listen: config.admin, log });
  const watches = watchesOf(config, node, log);
  const reload = () => watches.forEach((watch) => watch.reload());
  await run(
    {
      async open() {
        process.on('SIGHUP', reload);
        await admin.listen();
      },
      async start() {
        await node.start();
        for (const watch of watches) watch.start();
      },
      failure: failure.promise,
      drain: () => node.drain(),
      async stop() {
        process.off('SIGHUP', reload);
        for (const watch of watches) watch.stop();
        await Promise.all([node.stop(), admin.close()]);
      },
    },
    { log, pidFile: said.pidFile },
  );
}

/** Of the files that a running node reads again. */
function watchesOf({ keysFile, usersFile }: NodeConfig, node: Node, log: Log) {
  const keys = new FileWatch(
    {
      file: keysFile,
      event: 'keys',
      read: (findings) => findKeyRing(keysFile, findings),
      take: (ring) => {
        if (!node.reloadKeys(ring))
          return { refused: `${keysFile} is another cluster's: that wants a new start` };
        const [seals, ...open] = ring.keys.map(keyId);
        const opens = open.length > 0 ? `, ${open.join(', ')} open too` : '';
        return { told: `key ${seals} seals${opens}`, fields: { seals, open } };
      },
    },
    log,
  );
  if (usersFile === undefined) return [keys];
  const users = new FileWatch(
    {
      file: usersFile,
      event: 'users',
      read: (findings) => readUsers(usersFile, findings),
      take: (list) => {
        void node.reloadUsers(list);
        return { told: `${list.size} users read`, fields: { users: list.size } };
      },
    },
    log,
  );
  return [keys, users];
}
