import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argyleCertificate } from '../argyle.ts';
import type { TlsServers } from '../tls-servers.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

const TICKET_KEY_BYTES = 80;

/** Two instances of one worker each that share a ticket key. */
export const nginx: Peer<TlsServers> = {
  needs: [{ program: 'nginx', debianPackage: 'nginx-light' }],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('nginx');
    const { certificate, key } = argyleCertificate(folder);
    const file = (name: string) => join(folder, name);
    writeFileSync(file('ticket.key'), randomBytes(TICKET_KEY_BYTES));
    const first = await site.ports(2);
    const start = (name: string, port: number) => {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
      const lines = [
        'daemon off; worker_processes 1; error_log stderr crit;',
        `pid ${file(`${name}.pid`)};`,
        'events { worker_connections 8192; }',
        'http { access_log off;',
        ...temporary.map((kind) => `${kind}_temp_path ${file(kind)};`),
        'ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:S:20m; ssl_session_timeout 1h;',
        `ssl_session_ticket_key ${file('ticket.key')};`,
        `server { listen ${LOOPBACK}:${port} ssl backlog=4096;`,
        `ssl_certificate ${certificate}; ssl_certificate_key ${key}; return 200; } }`,
      ];
      writeFileSync(file(`${name}.conf`), `${lines.join('\n')}\n`);
      const args = ['-c', file(`${name}.conf`), '-e', 'stderr'];
      return listening(site, stack, { folder, name, command: 'nginx', args, port });
    };
    const processes = [await start('nginx-1', first), await start('nginx-2', first + 1)];
    const owned = stack.move();
    return {
      endpoints: [`${LOOPBACK}:${first}`, `${LOOPBACK}:${first + 1}`],
      processes,
      sessionIds: false,
      renews: true,
      protocol: undefined,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
