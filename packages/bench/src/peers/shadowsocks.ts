import type { Tunnel } from '../tunnel.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const METHOD = 'aes-128-gcm';
const PASSWORD = 'measured';
const IDLE_S = 3_600;

/** ss-local here, ss-server there. */
export const shadowsocks: Peer<Tunnel> = {
  needs: [
    { program: 'ss-server', debianPackage: 'shadowsocks-libev' },
    { program: 'ss-local', debianPackage: 'shadowsocks-libev' },
  ],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('shadowsocks');
    const server = await site.ports(2);
    const local = server + 1;
    const common = ['-s', LOOPBACK, '-p', String(server), '-k', PASSWORD, '-m', METHOD];
    common.push('-t', String(IDLE_S));
    const start = (name: string, port: number, args: readonly string[]) =>
      listening(site, stack, { folder, name, command: name, args, port });
    const far = await start('ss-server', server, common);
    const near = await start('ss-local', local, [...common, '-b', LOOPBACK, '-l', String(local)]);
    const owned = stack.move();
    return {
      proxy: `${LOOPBACK}:${local}`,
      near: [near],
      far: [far],
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
