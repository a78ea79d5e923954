import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { argyleCertificate } from '../argyle.ts';
import type { TlsServers } from '../tls-servers.ts';
import type { BareTlsOptions } from './bare-tls-server.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const SERVER = fileURLToPath(new URL('./bare-tls-server.ts', import.meta.url));
const TICKET_KEYS_BYTES = 48;

/** What TLS costs in the runtime that Argyle runs on: two processes with the same ticket keys. */
export const bareTls: Peer<TlsServers> = {
  needs: [],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('bare-tls');
    const files = argyleCertificate(folder);
    const ticketKeys = randomBytes(TICKET_KEYS_BYTES).toString('hex');
    const first = await site.ports(2);
    const start = (name: string, port: number) => {
      const options: BareTlsOptions = { ...files, port, ticketKeys };
      const args = [SERVER, JSON.stringify(options)];
      return listening(site, stack, { folder, name, command: process.execPath, args, port });
    };
    const processes = [await start('bare-1', first), await start('bare-2', first + 1)];
    const owned = stack.move();
    return {
      endpoints: [`${LOOPBACK}:${first}`, `${LOOPBACK}:${first + 1}`],
      processes,
      sessionIds: false,
      renews: false,
      protocol: 'argyle/1',
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
