import { createServer } from 'node:tls';
import { type CertificateFiles, frontOptions } from './bare-tls-options.ts';

/** What a bare server is told, as JSON in its only argument. */
export interface BareTlsOptions extends CertificateFiles {
  readonly port: number;
  /** 48 bytes in hexadecimal; the same at servers that resume each other's sessions. */
  readonly ticketKeys: string;
}

if (import.meta.main) serve(JSON.parse(process.argv[2] ?? '{}') as BareTlsOptions);

/** node:tls with the options of a node's front, and nothing around it. */
function serve(options: BareTlsOptions): void {
  const server = createServer({
    ...frontOptions(options),
    sessionIdContext: 'bare',
    ticketKeys: Buffer.from(options.ticketKeys, 'hex'),
    noDelay: true,
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    socket.resume();
  });
  server.on('tlsClientError', () => undefined);
  server.listen(options.port, '127.0.0.1', 4_096);
}
