import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What a process holds, by kind: `socket`, `pipe`, `anon_inode`, `file`. */
export function descriptors(pid: number): Map<string, number> {
  const kinds = new Map<string, number>();
  for (const target of descriptorTargets(pid)) {
    const kind = /^(socket|pipe|anon_inode):/.exec(target)?.[1] ?? 'file';
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return kinds;
}

/** Datagrams that the kernel has dropped at the process's UDP sockets, since they were opened. */
export function kernelDrops(pid: number): number {
  const inodes = new Set(
    descriptorTargets(pid).map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]),
  );
  let drops = 0;
  for (const line of readFileSync(`/proc/${pid}/net/udp`, 'utf8').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[9] !== undefined && inodes.has(fields[9])) drops += Number(fields[12]);
  }
  return drops;
}

/** The same of all sockets of this machine at a UDP port of IPv4. */
export function portDrops(port: number): number {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let drops = 0;
  for (const line of readFileSync('/proc/net/udp', 'utf8').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(wanted)) drops += Number(fields[12]);
  }
  return drops;
}

/** Processor time that the process has used, in milliseconds. */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function descriptorTargets(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      return [];
    }
  });
}
