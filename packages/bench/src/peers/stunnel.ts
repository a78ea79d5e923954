import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argyleCertificate } from '../argyle.ts';
import type { Tunnel } from '../tunnel.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

/** SOCKS in TLS: stunnel here, stunnel there, microsocks behind it. */
export const stunnel: Peer<Tunnel> = {
  needs: [
    { program: 'stunnel4', debianPackage: 'stunnel4' },
    { program: 'microsocks', debianPackage: 'microsocks' },
  ],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('stunnel');
    const { certificate, key } = argyleCertificate(folder);
    const first = await site.ports(3);
    const [socks, server, client] = [first, first + 1, first + 2] as const;
    const common = 'foreground = yes\npid =\ndebug = 3\n';
    const noDelay = 'socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n';
    const configuration = (name: string, lines: readonly string[]) => {
      const path = join(folder, `${name}.conf`);
      writeFileSync(path, `${common}${noDelay}${lines.join('\n')}\n`);
      return [path];
    };
    const microsocksArgs = ['-i', LOOPBACK, '-p', String(socks)];
    // microsocks writes a line for each connection.
    const start = (name: string, command: string, port: number, args: readonly string[]) =>
      listening(site, stack, { folder, name, command, args, port, quiet: command !== 'stunnel4' });
    const far = [
      await start('microsocks', 'microsocks', socks, microsocksArgs),
      await start(
        'stunnel-server',
        'stunnel4',
        server,
        configuration('server', [
          '[s]',
          `accept = ${LOOPBACK}:${server}`,
          `connect = ${LOOPBACK}:${socks}`,
          `cert = ${certificate}`,
          `key = ${key}`,
        ]),
      ),
    ];
    const near = await start(
      'stunnel-client',
      'stunnel4',
      client,
      configuration('client', [
        '[c]',
        'client = yes',
        `accept = ${LOOPBACK}:${client}`,
        `connect = ${LOOPBACK}:${server}`,
      ]),
    );
    const owned = stack.move();
    return {
      proxy: `${LOOPBACK}:${client}`,
      near: [near],
      far,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
