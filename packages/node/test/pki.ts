import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

try {
  execFileSync('openssl', ['version'], { stdio: 'ignore' });
} catch {
  t.plan(0, 'needs the openssl program (Debian package: openssl)');
  process.exit(0);
}

export interface Pair {
  readonly certificate: string;
  readonly key: string;
  /** Paths to the same, for programs. */
  readonly certificateFile: string;
  readonly keyFile: string;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const RSA = ['-newkey', 'rsa:2048'];

/**
 * A certificate authority in a folder that goes with the process, made with the `openssl` program.
 */
export class Pki {
  readonly folder = mkdtempSync(join(tmpdir(), 'argyle-pki-'));
  readonly ca: string;

  constructor(name = 'Argyle test CA') {
    process.once('exit', () => rmSync(this.folder, { recursive: true, force: true }));
    this.#openssl([
      ...['req', '-x509', '-nodes', '-days', '2', '-subj', `/CN=${name}`, ...CURVE],
      ...['-keyout', 'ca.key', '-out', 'ca.pem'],
    ]);
    this.ca = this.#read('ca.pem');
  }

  get caFile(): string {
    return join(this.folder, 'ca.pem');
  }

  server(serverName: string): Pair {
    return this.#issue('server', `/CN=${serverName}`, CURVE, `subjectAltName=DNS:${serverName}`);
  }

  client(commonName: string, options: { days?: number } = {}): Pair {
    const usage = 'extendedKeyUsage=clientAuth';
    return this.#issue(commonName, `/CN=${commonName}/O=Argyle`, RSA, usage, options.days);
  }

  #issue(file: string, subject: string, key: string[], extension: string, days = 2): Pair {
    const request = ['-keyout', `${file}.key`, '-out', `${file}.csr`];
    this.#openssl(['req', '-new', '-nodes', '-subj', subject, ...key, ...request]);
    writeFileSync(join(this.folder, `${file}.ext`), `${extension}\n`);
    this.#openssl([
      ...['x509', '-req', '-days', String(days), '-in', `${file}.csr`, '-CA', 'ca.pem'],
      ...['-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${file}.ext`, '-out', `${file}.pem`],
    ]);
    return {
      certificate: this.#read(`${file}.pem`),
      key: this.#read(`${file}.key`),
      certificateFile: join(this.folder, `${file}.pem`),
      keyFile: join(this.folder, `${file}.key`),
    };
  }

  #openssl(args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8');
  }
}
