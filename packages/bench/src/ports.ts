import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const UDP_SOCKETS = ['/proc/net/udp', '/proc/net/udp6'];

/** Nobody listens there, for TCP on loopback, and nobody has it for UDP. */
export async function isFree(port: number): Promise<boolean> {
  return !hasUdpSocket(port) && (await canListen(port));
}

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** At any address. */
export function hasUdpSocket(port: number): boolean {
  const own = port.toString(16).toUpperCase().padStart(4, '0');
  return UDP_SOCKETS.some((table) => {
    const [, ...rows] = readFileSync(table, 'utf8').trim().split('\n');
    return rows.some((row) => row.trim().split(/\s+/)[1]?.endsWith(`:${own}`));
  });
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
