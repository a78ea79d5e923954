import { fileURLToPath } from 'node:url';
import { argyleCertificate } from '../argyle.ts';
import type { TlsServers } from '../tls-servers.ts';
import type { MapTlsOptions } from './map-tls-server.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const SERVER = fileURLToPath(new URL('./map-tls-server.ts', import.meta.url));

/** What it costs to hold sessions in place of tickets, before anything is replicated. */
export const mapTls: Peer<TlsServers> = {
  needs: [],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('map-tls');
    const port = await site.ports(2);
    const ports = [port, port + 1] as const;
    const options: MapTlsOptions = { ...argyleCertificate(folder), ports };
    const args = [SERVER, JSON.stringify(options)];
    const command = process.execPath;
    const process_ = await listening(site, stack, { folder, name: 'map', command, args, port });
    const owned = stack.move();
    return {
      endpoints: [`${LOOPBACK}:${ports[0]}`, `${LOOPBACK}:${ports[1]}`],
      processes: [process_],
      sessionIds: true,
      renews: true,
      protocol: 'argyle/1',
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
