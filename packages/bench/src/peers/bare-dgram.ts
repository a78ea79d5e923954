import { fileURLToPath } from 'node:url';
import type { Tunnel } from '../tunnel.ts';
import type { BareDgramOptions } from './bare-dgram-relay.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const RELAY = fileURLToPath(new URL('./bare-dgram-relay.ts', import.meta.url));

/** What two Node processes cost when datagrams pass through both, and nothing is done to them. */
export const bareDgram: Peer<Tunnel> = {
  needs: [],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('dgram');
    const near = await site.ports(2);
    const farPort = near + 1;
    const start = (options: BareDgramOptions) => {
      const args = [RELAY, JSON.stringify(options)];
      const { role: name, port } = options;
      return listening(site, stack, { folder, name, command: process.execPath, args, port });
    };
    const tunnel = {
      far: [await start({ role: 'far', port: farPort, farPort })],
      near: [await start({ role: 'near', port: near, farPort })],
    };
    const owned = stack.move();
    return {
      proxy: `${LOOPBACK}:${near}`,
      ...tunnel,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
