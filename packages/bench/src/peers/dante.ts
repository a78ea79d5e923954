import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Tunnel } from '../tunnel.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

/** Plain SOCKS5, TCP and UDP: nothing is sealed, and nothing stands at the near end. */
export const dante: Peer<Tunnel> = {
  needs: [{ program: 'danted', debianPackage: 'dante-server' }],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('dante');
    const port = await site.ports(1);
    const file = (name: string) => join(folder, name);
    const users = ['user.privileged: root', 'user.unprivileged: nobody'];
    const lines = [
      'errorlog: stderr',
      `internal: ${LOOPBACK} port = ${port}`,
      `external: ${LOOPBACK}`,
      'clientmethod: none',
      'socksmethod: none',
      ...(userInfo().uid === 0 ? users : []),
      'client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }',
      'socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 command: bind connect udpassociate }',
      'socks pass { from: 0.0.0.0/0 to: 127.0.0.0/8 command: bindreply udpreply }',
    ];
    writeFileSync(file('danted.conf'), `${lines.join('\n')}\n`);
    const args = ['-f', file('danted.conf'), '-p', file('danted.pid')];
    const options = { folder, name: 'danted', command: 'danted', args, port };
    const far = [await listening(site, stack, options)];
    const owned = stack.move();
    return {
      proxy: `${LOOPBACK}:${port}`,
      near: [],
      far,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
