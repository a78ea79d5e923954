import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';

/** What a bare server is told, as JSON in its only argument. */
export interface BareTlsOptions {
  readonly port: number;
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  /** 48 bytes in hexadecimal; the same at servers that resume each other's sessions. */
  readonly ticketKeys: string;
}

if (import.meta.main) serve(JSON.parse(process.argv[2] ?? '{}') as BareTlsOptions);

/** node:tls with the options of a node's front, and nothing around it. */
function serve({ port, certificate, key, ca, ticketKeys }: BareTlsOptions): void {
  const server = createServer({
    cert: readFileSync(certificate),
    key: readFileSync(key),
    ca: readFileSync(ca),
    ALPNProtocols: ['argyle/1'],
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    ecdhCurve: 'X25519MLKEM768:X25519:prime256v1:secp384r1',
    sessionIdContext: 'bare',
    ticketKeys: Buffer.from(ticketKeys, 'hex'),
    noDelay: true,
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    socket.resume();
  });
  server.on('tlsClientError', () => undefined);
  server.listen(port, '127.0.0.1', 4_096);
}
