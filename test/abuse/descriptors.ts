import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export type Counts = Readonly<Record<string, number>>;

/** `include/net/tcp_states.h`. */
const TCP_STATES = [
  '',
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'close',
  'close-wait',
  'last-ack',
  'listen',
  'closing',
];

/**
 * The open descriptors of a process by kind, as Linux knows them. A TCP socket that was reset has
 * no entry in the kernel's tables any more: it is `socket unconnected` for as long as it is leaked.
 */
export function descriptors(pid: number): Counts {
  const sockets = socketKinds();
  const counts: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${fd}`, sockets);
    if (kind !== undefined) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

function kindOf(path: string, sockets: ReadonlyMap<string, string>): string | undefined {
  const target = linkTarget(path);
  const inode = /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1];
  if (inode !== undefined) return sockets.get(inode) ?? 'socket unconnected';
  return target?.replace(/\[?\d+\]?$/, '').replace(/^\/.*/, 'file');
}

/** Undefined for what was closed meanwhile. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function socketKinds(): ReadonlyMap<string, string> {
  const kinds = new Map<string, string>();
  for (const family of ['tcp', 'tcp6', 'udp', 'udp6'] as const) {
    const [, ...rows] = readFileSync(`/proc/net/${family}`, 'utf8').trim().split('\n');
    for (const row of rows) {
      const fields = row.trim().split(/\s+/);
      const state = TCP_STATES[Number.parseInt(fields[3] ?? '', 16)] ?? '';
      kinds.set(fields[9] ?? '', family.startsWith('tcp') ? `tcp ${state}` : 'udp');
    }
  }
  return kinds;
}
