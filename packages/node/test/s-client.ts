import { execFile } from 'node:child_process';
import type { Pki } from './pki.ts';
import { SERVER_NAME } from './settings.ts';

/** What `openssl s_client` says of one connection to a front. */
export interface ClientReport {
  readonly output: string;
  readonly reused: boolean;
  readonly protocol: string;
}

/** Connects, waits for the front's line, and ends. */
export async function sClient(pki: Pki, port: number, args: string[]): Promise<ClientReport> {
  const all = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', pki.caFile];
  if (!args.some((arg) => arg.endsWith('servername'))) all.push('-servername', SERVER_NAME);
  all.push('-verify_return_error', ...args);
  const output = await new Promise<string>((resolve) => {
    const child = execFile('openssl', all, { cwd: pki.folder }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
    // Its session file is written when the ticket arrives, which is before the front's line ends.
    let said = '';
    child.stdout?.on('data', (text: string) => {
      said += text;
      if (/^[0-9a-f]{32} \S+$/m.test(said)) child.stdin?.end('Q\n');
    });
  });
  const [, state = '', protocol = ''] = /^(New|Reused), (\S+),/m.exec(output) ?? [];
  return { output, reused: state === 'Reused', protocol };
}
