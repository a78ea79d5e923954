import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import { type RealCluster, run } from './real-cluster.ts';
import { visit } from './tls.ts';

const SILENCE_MS = 3_000;

/** SOCKS5 inside TLS, as conventional clients do it: what the node answered to the login. */
export function login(cluster: RealCluster, index: number, user: string, password: string) {
  return new Promise<number>((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port: cluster.nodePort(index),
      ca: cluster.read('ca.pem'),
      servername: 'argyle.cluster',
    });
    let answer = Buffer.alloc(0);
    socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('no answer to a login')));
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      const [name, word] = [Buffer.from(user), Buffer.from(password)];
      socket.write(Buffer.from([5, 1, 2]));
      socket.write(Buffer.concat([Buffer.of(1, name.length), name, Buffer.of(word.length), word]));
    });
    socket.on('data', (bytes: Buffer) => {
      answer = Buffer.concat([answer, bytes]);
      if (answer.length < 4) return;
      resolve(answer[3] ?? -1);
      socket.destroy();
    });
    socket.on('close', () => reject(new Error('closed before it answered')));
  });
}

/** Offers a session whose secret is not the cluster's: a bad binder, or a bad Finished. */
export async function resumeForged(cluster: RealCluster, made: Buffer): Promise<void> {
  const forged = Buffer.from(made);
  const start = forged.indexOf(Buffer.from('020101020203', 'hex'));
  for (let at = start + 50; at < start + 54; at += 1) forged[at] = (forged[at] ?? 0) ^ 0xff;
  await visit(cluster.nodePort(1), cluster.read('ca.pem'), { session: forged }).catch(() => {});
}

/** Bytes that no client sends, to one port. */
export function garbage(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.end(bytes));
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
}

export function scan(ports: readonly number[]): Promise<void[]> {
  const probes = [
    Buffer.from('GET / HTTP/1.0\r\n\r\n'),
    Buffer.from('050102050108', 'hex'),
    Buffer.from('16030100050100000103', 'hex'),
    randomBytes(200),
  ];
  return Promise.all(ports.flatMap((port) => probes.map((probe) => garbage(port, probe))));
}

/** Fetches through the client, from a server of its own and from where nobody listens. */
export async function fetchThrough(cluster: RealCluster, times: number): Promise<number> {
  const server = createServer((_request, response) => response.end('small'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy = ['--socks5-hostname', `127.0.0.1:${cluster.clientPort}`];
  const fetchFrom = async (at: number) => {
    const args = [...proxy, '--silent', '--fail', '--max-time', '10', `http://localhost:${at}/`];
    return (await run('curl', args)).code === 0;
  };
  let fetched = 0;
  for (let time = 0; time < times; time += 1) if (await fetchFrom(port)) fetched += 1;
  await fetchFrom(1);
  await new Promise((resolve) => server.close(resolve));
  return fetched;
}
