import { spawn } from 'node:child_process';

export interface Handshake {
  readonly reused: boolean;
  readonly protocol: string;
  readonly output: string;
}

/**
 * One connection of `openssl s_client`. It stays until its session has come (TLS 1.3 tickets follow
 * the handshake), at most three seconds.
 */
export function sClient(caFile: string, port: number, args: readonly string[]): Promise<Handshake> {
  const all = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', caFile];
  all.push('-servername', 'argyle.cluster', '-verify_return_error', ...args);
  return new Promise((resolve) => {
    // Line by line: it keeps back what it says of a ticket until four kilobytes are full.
    const child = spawn('stdbuf', ['-oL', 'openssl', ...all], { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    const take = (text: Buffer) => {
      output += text.toString();
      // Printed once for TLS 1.2, and for each ticket of TLS 1.3.
      if (/Start Time: /.test(output) && child.stdin.writable) child.stdin.end('Q\n');
    };
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => child.kill(), 3_000);
    child.on('close', () => {
      clearTimeout(timer);
      const [, state = '', protocol = ''] = /^(New|Reused), (\S+),/m.exec(output) ?? [];
      resolve({ reused: state === 'Reused', protocol, output });
    });
  });
}
