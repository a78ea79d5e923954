import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PASSWORD_WANTED = '331 Password, please.';
const ANSWERS: Readonly<Record<string, string>> = {
  USER: PASSWORD_WANTED,
  PASS: '230 Logged in.',
  QUIT: '221 Goodbye.',
};
const TIMEOUT_MS = 30_000;

/** An FTP server (RFC 959) with one file, which it brings to wherever PORT says. */
export class FtpServer {
  readonly #file: Buffer;
  readonly #server = createServer((control) => void this.#serve(control));

  constructor(file: Buffer) {
    this.#file = file;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }

  async #serve(control: Socket): Promise<void> {
    control.on('error', () => undefined);
    const say = (line: string) => control.write(`${line}\r\n`);
    let target = { host: '127.0.0.1', port: 0 };
    say('220 Ready.');
    for await (const line of createInterface({ input: control })) {
      const [verb = '', argument = ''] = line.split(' ');
      if (verb === 'PORT') {
        const [a, b, c, d, high = 0, low = 0] = argument.split(',').map(Number);
        target = { host: [a, b, c, d].join('.'), port: high * 256 + low };
        say('200 Noted.');
      } else if (verb === 'RETR') {
        say('150 On its way.');
        const data = connect(target).on('error', () => undefined);
        data.end(this.#file);
        await once(data, 'close');
        say('226 Sent.');
      } else say(ANSWERS[verb] ?? '202 Not here.');
    }
  }
}

export interface Fetch {
  /** A folder to write into. */
  readonly folder: string;
  readonly socksPort: number;
  /** For a proxy that asks for it; without, none is offered. */
  readonly user?: { readonly name: string; readonly password: string };
  readonly ftpPort: number;
}

/**
 * What tnftp gets in active mode through dante's `socksify`, which asks the SOCKS5 proxy for the
 * port (BIND). Rejects with what was printed.
 */
export async function fetchActively({ folder, socksPort, user, ftpPort }: Fetch): Promise<Buffer> {
  const configuration = join(folder, 'dante.conf');
  const got = join(folder, 'got');
  writeFileSync(
    configuration,
    `route { from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = ${socksPort}
      proxyprotocol: socks_v5
      command: bind
      method: ${user ? 'username' : 'none'} }\n`,
  );
  writeFileSync(got, '');
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    SOCKS_CONF: configuration,
    ...(user && { SOCKS_USERNAME: user.name, SOCKS_PASSWORD: user.password }),
  };
  const command = ['tnftp', '-A', '-v', '-n', '127.0.0.1', String(ftpPort)];
  const output = await new Promise<string>((resolve) => {
    const options = { env, timeout: TIMEOUT_MS };
    const child = execFile('socksify', command, options, (_error, stdout, stderr) => {
      resolve(stdout + stderr);
    });
    child.stdin?.end(`user somebody secret\nepsv4 off\nbinary\nget file ${got}\nquit\n`);
  });
  const file = readFileSync(got);
  if (file.length === 0) throw new Error(output);
  return file;
}
