import type { Tunnel } from '../tunnel.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const PASSWORD = 'measured';
const IDLE_S = 3_600;

export type ShadowsocksMethod = 'aes-128-gcm' | 'chacha20-ietf-poly1305';

/** ss-local here, ss-server there; TCP and UDP. */
export function shadowsocksWith(method: ShadowsocksMethod): Peer<Tunnel> {
  return {
    needs: [
      { program: 'ss-server', debianPackage: 'shadowsocks-libev' },
      { program: 'ss-local', debianPackage: 'shadowsocks-libev' },
    ],
    async open(site) {
      await using stack = new AsyncDisposableStack();
      const folder = site.subfolder('shadowsocks');
      const server = await site.ports(2);
      const local = server + 1;
      const common = ['-s', LOOPBACK, '-p', String(server), '-k', PASSWORD, '-m', method, '-u'];
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
}
