import { readFileSync, statSync } from 'node:fs';

/** Keys, certificates and lists are small; a larger file is some other file. */
const FILE_BYTES_MAX = 1024 * 1024;

const SYSTEM_CODES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'a file that this user may not read',
  EPERM: 'a file that this user may not read',
  EISDIR: 'a folder',
};

/** A file's text, or what was found instead of it. Never throws. */
export function readText(path: string): { readonly text: string } | { readonly found: string } {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) return { found: `a file of ${size} bytes` };
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    return { found: systemReason(error) };
  }
}

/** A sentence to warn with when others than the owner may read or change a secret. */
export function exposure(path: string): string | undefined {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o077) === 0) return undefined;
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  return `${path} holds a secret and others may open it (mode ${shown}): chmod 600 ${path}`;
}

function systemReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return SYSTEM_CODES[code] ?? `an error (${code || 'unknown'})`;
}
