import { AsyncLocalStorage } from 'node:async_hooks';
import { constants } from 'node:crypto';
import { createServer as createTcp, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import { ClientHelloReader } from '@argyle/node/client-hello';
import { type CertificateFiles, frontOptions } from './bare-tls-options.ts';

/** What the server is told, as JSON in its only argument. */
export interface MapTlsOptions extends CertificateFiles {
  readonly ports: readonly number[];
}

if (import.meta.main) serve(JSON.parse(process.argv[2] ?? '{}') as MapTlsOptions);

/**
 * Sessions that a server holds in place of tickets, in a Map: the mechanism of a node's front, and
 * nothing else of a node. Its ports are two instances that replicate at no cost at all.
 */
function serve(options: MapTlsOptions): void {
  const sessions = new Map<string, Buffer>();
  const asked = new AsyncLocalStorage<string>();
  const server = createServer({
    ...frontOptions(options),
    sessionIdContext: 'map',
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
  server.on('newSession', (id, der, done) => {
    sessions.set(nameOf(id), der);
    done();
  });
  server.on('resumeSession', (_id, answer) => {
    answer(null, sessions.get(asked.getStore() ?? ''));
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    socket.resume();
  });
  server.on('tlsClientError', () => undefined);
  const accept = (raw: Socket) => {
    raw.on('error', () => undefined);
    const reader = new ClientHelloReader();
    const read = (chunk: Buffer) => {
      const progress = reader.push(chunk);
      if (progress.kind === 'incomplete') return;
      raw.off('data', read).pause();
      if (progress.kind === 'refused') {
        raw.destroy();
        return;
      }
      raw.unshift(progress.bytes);
      const { supportsTls13, identity, sessionId } = progress.hello;
      const id = nameOf(supportsTls13 ? identity : sessionId);
      asked.run(id, () => server.emit('connection', raw));
    };
    raw.on('data', read);
  };
  for (const port of options.ports)
    createTcp({ noDelay: true }, accept).listen(port, '127.0.0.1', 4_096);
}

function nameOf(id: Uint8Array | undefined): string {
  return id ? Buffer.from(id).toString('latin1') : '';
}
