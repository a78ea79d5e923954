import { connect } from 'node:net';
import type { RunningProcess } from '../processes.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

export interface RedisServers extends AsyncDisposable {
  /** `ADDRESS:PORT` of the primary. */
  readonly primary: string;
  /** The primary first. */
  readonly processes: readonly RunningProcess[];
}

/** A primary with so many replicas, in memory alone. */
export function redis(replicas: number): Peer<RedisServers> {
  return {
    needs: [{ program: 'redis-server', debianPackage: 'redis-server' }],
    async open(site) {
      await using stack = new AsyncDisposableStack();
      const folder = site.subfolder('redis');
      const first = await site.ports(1 + replicas);
      const start = (name: string, port: number, options: readonly string[]) => {
        const args = ['--port', `${port}`, '--bind', LOOPBACK, '--dir', folder, '--save', ''];
        args.push('--appendonly', 'no', '--repl-diskless-sync-delay', '0', ...options);
        return listening(site, stack, { folder, name, command: 'redis-server', args, port });
      };
      const primary = await start('primary', first, []);
      const processes = [primary];
      for (let i = 1; i <= replicas; i += 1) {
        const of = ['--replicaof', LOOPBACK, `${first}`];
        processes.push(await start(`replica-${i}`, first + i, of));
      }
      await primary.until(`has ${replicas} replicas`, async () => {
        return (await onlineReplicas(first)) === replicas;
      });
      const owned = stack.move();
      return {
        primary: `${LOOPBACK}:${first}`,
        processes,
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    },
  };
}

function onlineReplicas(port: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect({ host: LOOPBACK, port });
    let said = '';
    socket.on('error', () => resolve(0));
    socket.on('connect', () => socket.write('INFO replication\r\nQUIT\r\n'));
    socket.on('data', (bytes) => {
      said += bytes.toString();
    });
    socket.on('close', () => resolve(said.split('state=online').length - 1));
  });
}
