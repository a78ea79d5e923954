import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argyleCertificate } from '../argyle.ts';
import type { TlsServers } from '../tls-servers.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const TICKET_KEY_BYTES = 48;
/** It wants three: of yesterday, today and tomorrow. */
const TICKET_KEYS = 3;

/** Two instances of one thread each that share ticket keys. */
export const haproxy: Peer<TlsServers> = {
  needs: [{ program: 'haproxy', debianPackage: 'haproxy' }],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('haproxy');
    const file = (name: string) => join(folder, name);
    const { certificate, key } = argyleCertificate(folder);
    const pem = [certificate, key].map((path) => readFileSync(path, 'utf8')).join('');
    writeFileSync(file('pair.pem'), pem, { mode: 0o600 });
    const keys = Array.from({ length: TICKET_KEYS }, () => randomBytes(TICKET_KEY_BYTES));
    writeFileSync(file('tickets'), keys.map((bytes) => `${bytes.toString('base64')}\n`).join(''));
    const first = await site.ports(2);
    const start = (name: string, port: number) => {
      const bind = `bind ${LOOPBACK}:${port} ssl crt ${file('pair.pem')}`;
      const lines = [
        'global',
        '  nbthread 1',
        '  maxconn 8000',
        'defaults',
        '  mode http',
        ...['client', 'server', 'connect'].map((side) => `  timeout ${side} 30s`),
        'frontend tls',
        `  ${bind} tls-ticket-keys ${file('tickets')} backlog 4096`,
        '  http-request return status 200',
      ];
      writeFileSync(file(`${name}.cfg`), `${lines.join('\n')}\n`);
      const args = ['-db', '-f', file(`${name}.cfg`)];
      return listening(site, stack, { folder, name, command: 'haproxy', args, port });
    };
    const processes = [await start('haproxy-1', first), await start('haproxy-2', first + 1)];
    const owned = stack.move();
    return {
      endpoints: [`${LOOPBACK}:${first}`, `${LOOPBACK}:${first + 1}`],
      processes,
      sessionIds: false,
      renews: false,
      protocol: undefined,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
