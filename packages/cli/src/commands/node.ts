import { Admin } from '@argyle/admin';
import { SystemHost } from '@argyle/host/system';
import { Node } from '@argyle/node';
import { loadNodeConfig, type LogLevel } from '../config/node-config.ts';
import { CliError } from '../exit-code.ts';
import { createLog } from '../log.ts';
import { printConfig } from '../print-config.ts';
import { run } from '../service.ts';
import { UsersWatch } from '../users-watch.ts';

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

  const { options, usersFile } = config;
  const log = createLog(said.logLevel ?? config.logLevel, options.name);
  for (const warning of config.warnings) log.warn({ event: 'configuration' }, warning);
  const failure = Promise.withResolvers<never>();
  const failed = (cause: Error) =>
    failure.reject(new CliError('failed', 'the node cannot go on', { cause }));
  const node = new Node({ host, options, log, failed });
  const admin = new Admin({ source: node, listen: config.admin, log });
  const users =
    usersFile === undefined
      ? undefined
      : new UsersWatch(usersFile, log, (list) => node.reloadUsers(list));
  const reload = () => users?.reload();
  await run(
    {
      async open() {
        process.on('SIGHUP', reload);
        await admin.listen();
      },
      async start() {
        await node.start();
        users?.start();
      },
      failure: failure.promise,
      drain: () => node.drain(),
      async stop() {
        process.off('SIGHUP', reload);
        users?.stop();
        await Promise.all([node.stop(), admin.close()]);
      },
    },
    { log, pidFile: said.pidFile },
  );
}
