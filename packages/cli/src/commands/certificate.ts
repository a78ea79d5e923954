import { existsSync } from 'node:fs';
import { SystemHost } from '@argyle/host/system';
import { CliError } from '../exit-code.ts';
import { Home } from '../home.ts';
import { openAuthority } from '../make-home.ts';
import { writePrivate } from '../private-file.ts';

export interface CertificateOptions {
  readonly home: string;
  readonly client?: true;
  readonly serverName: string;
  readonly force?: true;
}

export async function certificate(name: string, options: CertificateOptions): Promise<void> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) || name === 'ca')
    throw new CliError(
      'usage',
      `the name: found "${name}", wanted letters, digits, dots, hyphens and underscores, and not "ca"`,
    );
  const home = new Home(options.home);
  const files = home.pair(name);
  for (const path of [files.certificate, files.key])
    if (existsSync(path) && !options.force)
      throw new CliError('exists', `${path} is there already: --force replaces it`);
  if (!existsSync(home.authority.key))
    throw new CliError('missing', `${home.authority.key} is missing: \`argyle init\` makes it`);
  const authority = await openAuthority(new SystemHost(), home);
  const issued = await authority.issue({
    name,
    kind: options.client ? 'client' : 'node',
    serverName: options.serverName,
  });
  writePrivate(files.certificate, issued.certificate);
  writePrivate(files.key, issued.key);
  process.stdout.write(`${files.certificate}\n${files.key}\n`);
}
