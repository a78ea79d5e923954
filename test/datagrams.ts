import type { Endpoint } from '@argyle/host';
import { run } from './real-cluster.ts';

export interface Datagram {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Buffer;
}

const FIELDS = ['ip.src', 'udp.srcport', 'ip.dst', 'udp.dstport', 'udp.payload'];

/** Those of a capture, as tshark reads it; what came back as an ICMP error is none. */
export async function readDatagrams(file: string): Promise<Datagram[]> {
  const fields = FIELDS.flatMap((field) => ['-e', field]);
  const args = ['-n', '-r', file, '-Y', 'udp && !icmp', '-T', 'fields', ...fields];
  const { code, output } = await run('tshark', args);
  if (code !== 0) throw new Error(`tshark: ${output}`);
  return output
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(({ length }) => length === FIELDS.length)
    .map(([source = '', sourcePort, target = '', targetPort, payload = '']) => ({
      from: { address: source, port: Number(sourcePort) },
      to: { address: target, port: Number(targetPort) },
      bytes: Buffer.from(payload, 'hex'),
    }));
}
