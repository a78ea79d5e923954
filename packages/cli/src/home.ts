import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const HOME_DEFAULT = '.argyle';
/** Nodes of one home: ports are counted from the base, and the ranges must not meet. */
export const NODES_MAX = 63;

/** A folder with all that a cluster on one machine needs, and where each thing lies in it. */
export class Home {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  get clusterKey(): string {
    return join(this.path, 'cluster.key');
  }

  get users(): string {
    return join(this.path, 'users.yaml');
  }

  get authority(): PairFiles {
    return this.pair('ca');
  }

  pair(name: string): PairFiles {
    return {
      certificate: join(this.path, `${name}.pem`),
      key: join(this.path, `${name}.key.pem`),
    };
  }

  config(name: string): string {
    return join(this.path, `${name}.yaml`);
  }

  pidFile(name: string): string {
    return join(this.path, `${name}.pid`);
  }

  log(name: string): string {
    return join(this.path, `${name}.log`);
  }

  /** Numbers of the nodes that have a configuration here, in order. */
  nodes(): readonly number[] {
    return this.#names()
      .map((name) => Number(/^node-([1-9]\d?)\.yaml$/.exec(name)?.[1] ?? 0))
      .filter((index) => index > 0)
      .toSorted((left, right) => left - right);
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.path);
    } catch {
      return [];
    }
  }
}

export interface PairFiles {
  readonly certificate: string;
  readonly key: string;
}

export function nodeName(index: number): string {
  return `node-${index}`;
}
