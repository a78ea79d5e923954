import { SystemHost } from '@argyle/host/system';
import { createFrontParts, type FrontParts } from '../src/front-parts.ts';
import type { NodeOptions } from '../src/options.ts';
import type { SecureConnection } from '../src/secure-connection.ts';
import { TlsFront } from '../src/tls-front.ts';
import type { FakeCache } from './fake-cluster.ts';
import { SILENT } from './settings.ts';

/** A TLS front that greets each client with who it takes it for, as a real one would not. */
export interface TestFront extends FrontParts {
  readonly port: number;
  readonly seen: SecureConnection[];
  close(): void;
}

export async function startFront(cache: FakeCache, options: NodeOptions): Promise<TestFront> {
  const parts = createFrontParts(new SystemHost(), SILENT, cache, options);
  const seen: SecureConnection[] = [];
  const secured = (connection: SecureConnection) => {
    seen.push(connection);
    const lineage = Buffer.from(connection.lineage).toString('hex');
    connection.socket.write(`${lineage} ${connection.known?.user ?? '-'}\n`);
    connection.socket.on('end', () => connection.socket.end());
    connection.socket.resume();
  };
  const front = new TlsFront(
    { ...parts, secured, plain: (connection) => connection.cut() },
    {
      listen: options.listen,
      tls: options.tls,
      handshakeMs: options.limits.handshakeMs,
      lineageMs: options.sessions.lineageMs,
    },
  );
  const { port } = await front.listen();
  const close = () => {
    front.close();
    parts.claims?.close();
    for (const connection of parts.connections.open) connection.cut();
  };
  return { ...parts, port, seen, close };
}
