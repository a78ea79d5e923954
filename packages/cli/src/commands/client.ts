import { Admin } from '@argyle/admin';
import { Client, type Forward } from '@argyle/client';
import { SystemHost } from '@argyle/host/system';
import { SystemResolver } from '@argyle/host/system-resolver';
import { loadClientConfig } from '../config/client-config.ts';
import { createLog } from '../log.ts';
import { printConfig } from '../print-config.ts';
import { run } from '../service.ts';
import type { ServeOptions } from './node.ts';

export interface ClientCommandOptions extends ServeOptions {
  /** Beside those of the configuration. */
  readonly forward: readonly Forward[];
}

export async function client(said: ClientCommandOptions): Promise<void> {
  const host = new SystemHost();
  const config = loadClientConfig(said.config, host.now() + host.wallOffset());
  if (said.printConfig) return printConfig(config);

  const log = createLog(said.logLevel ?? config.logLevel, 'client');
  for (const warning of config.warnings) log.warn({ event: 'configuration' }, warning);
  const { resolve } = new SystemResolver();
  const forwards = [...config.options.forwards, ...said.forward];
  const client = new Client(host, log, { ...config.options, forwards }, resolve);
  const admin = new Admin({ source: client, listen: config.admin, log });
  await run(
    {
      async open() {
        await admin.listen();
      },
      async start() {
        await client.start();
      },
      failure: new Promise<never>(() => undefined),
      drain: () => client.drain(config.drainMs),
      async stop() {
        await Promise.all([client.stop(), admin.close()]);
      },
    },
    { log, pidFile: said.pidFile },
  );
}
