import { spawnSync } from 'node:child_process';

/** How to call what the containers of a test need. */
export interface Engine {
  /** Every compose that is installed, the newest first, each as its command's words. */
  readonly composes: readonly [Compose, ...Compose[]];
}

export type Compose = readonly [command: string, ...words: string[]];

const COMPOSES: readonly Compose[] = [['docker', 'compose'], ['docker-compose']];
const ANSWER_MS = 20_000;

/** The engine of this machine, or what is missing. */
export function findEngine(): Engine | { readonly missing: string } {
  if (!works('curl', '--version')) return { missing: 'curl is not installed' };
  if (!works('docker', '--version')) return { missing: 'docker is not installed' };
  if (!works('docker', 'info')) return { missing: 'the Docker engine does not answer' };
  const [first, ...others] = COMPOSES.filter(([command, ...words]) =>
    works(command, ...words, 'version'),
  );
  if (!first) return { missing: 'neither `docker compose` nor `docker-compose` is installed' };
  return { composes: [first, ...others] };
}

function works(command: string, ...words: string[]): boolean {
  return spawnSync(command, words, { stdio: 'ignore', timeout: ANSWER_MS }).status === 0;
}
