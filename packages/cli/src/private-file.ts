import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CliError } from './exit-code.ts';

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

/** Replaces a file whole, or makes it; only its owner may open it. Folders are made, too. */
export function writePrivate(path: string, text: string): void {
  makeFolder(dirname(path));
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, text, { mode: OWNER_ONLY_FILE, flag: 'wx', flush: true });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new CliError('failed', `${path} could not be written`, { cause: error });
  }
}

export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
  } catch (error) {
    throw new CliError('failed', `the folder ${path} could not be made`, { cause: error });
  }
}

/** Runs `edit` while no other command edits the same file. */
export async function exclusively<Result>(
  path: string,
  edit: () => Promise<Result>,
): Promise<Result> {
  const lock = `${path}.lock`;
  makeFolder(dirname(path));
  try {
    closeSync(openSync(lock, 'wx', OWNER_ONLY_FILE));
  } catch (error) {
    const taken = existsSync(lock);
    if (!taken) throw new CliError('failed', `${lock} could not be made`, { cause: error });
    throw new CliError(
      'busy',
      `another command is at work on ${path}; if none is, remove ${lock}`,
      { cause: error },
    );
  }
  try {
    return await edit();
  } finally {
    rmSync(lock, { force: true });
  }
}
