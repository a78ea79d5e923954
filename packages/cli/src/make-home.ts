import { existsSync, readFileSync } from 'node:fs';
import type { Host } from '@argyle/host';
import { CertificateAuthority } from './certificate-authority.ts';
import { CLUSTER_KEY_BYTES, encodeClusterKey } from './config/cluster-key.ts';
import { CliError } from './exit-code.ts';
import { nodeName, type Home, type PairFiles } from './home.ts';
import type { PortPlan } from './ports.ts';
import { makeFolder, writePrivate } from './private-file.ts';
import {
  CONTAINER_BALANCER,
  CONTAINER_NODES,
  containerClient,
  containerNode,
  localClient,
  localNode,
  type Credentials,
} from './templates.ts';
import { addNodes, configuredUser } from './client-file.ts';
import { newPassword, putUser } from './users-edit.ts';

/**
 * What a home is to hold. `containers`: one configuration for all nodes, addresses of a network.
 */
export type HomePlan =
  | { readonly kind: 'local'; readonly nodes: number; readonly ports: PortPlan }
  | { readonly kind: 'containers' };

export interface MadeFile {
  readonly path: string;
  readonly made: 'made' | 'changed' | 'kept';
}

const DEMO_USER = 'demo';
const SERVER_NAME = 'argyle.cluster';

/** Makes what a home lacks. Run again it changes nothing; with more nodes, it adds those. */
export class HomeMaker {
  readonly #host: Host;
  readonly #home: Home;
  readonly #files: MadeFile[] = [];
  #authority: Promise<CertificateAuthority> | undefined;

  constructor(host: Host, home: Home) {
    this.#host = host;
    this.#home = home;
  }

  async make(plan: HomePlan): Promise<readonly MadeFile[]> {
    makeFolder(this.#home.path);
    this.#once(this.#home.clusterKey, () => encodeClusterKey(this.#host.random(CLUSTER_KEY_BYTES)));
    await this.#pair(this.#home.authority, async () => (await this.#openAuthority()).pem);
    const nodes = plan.kind === 'local' ? Array.from({ length: plan.nodes }, (_, i) => i + 1) : [];
    for (const name of plan.kind === 'local' ? nodes.map(nodeName) : ['node']) {
      await this.#pair(this.#home.pair(name), async () => {
        const authority = await this.#openAuthority();
        return authority.issue({ name, kind: 'node', serverName: SERVER_NAME });
      });
    }
    const user = await this.#users((user) =>
      plan.kind === 'local'
        ? localClient(plan.ports, plan.nodes, user)
        : containerClient(CONTAINER_NODES, user),
    );
    if (plan.kind === 'containers') {
      this.#once(this.#home.config('node'), containerNode);
      if (user) {
        const file = this.#home.config('balanced-client');
        this.#once(file, () => containerClient(CONTAINER_BALANCER, user));
      }
    } else {
      for (const index of nodes)
        this.#once(this.#home.config(nodeName(index)), () =>
          localNode(plan.ports, index, plan.nodes),
        );
      this.#growClient(plan);
    }
    return this.#files;
  }

  #once(path: string, text: () => string): void {
    if (existsSync(path)) this.#files.push({ path, made: 'kept' });
    else this.#write(path, text());
  }

  #write(path: string, text: string): void {
    const made = existsSync(path) ? 'changed' : 'made';
    writePrivate(path, text);
    this.#files.push({ path, made });
  }

  /** The certificate is written first: without its key it is worth nothing and is made anew. */
  async #pair(
    files: PairFiles,
    issue: () => Promise<{ certificate: string; key: string }>,
  ): Promise<void> {
    const { certificate, key } = files;
    if (existsSync(key)) {
      if (!existsSync(certificate))
        throw new CliError('missing', `${key} is there without ${certificate}: move it away`);
      this.#files.push({ path: certificate, made: 'kept' }, { path: key, made: 'kept' });
      return;
    }
    const issued = await issue();
    this.#write(certificate, issued.certificate);
    this.#write(key, issued.key);
  }

  #openAuthority(): Promise<CertificateAuthority> {
    this.#authority ??= openAuthority(this.#host, this.#home);
    return this.#authority;
  }

  /**
   * The password is in clear in the clients' files alone; the client's or the users', whichever is
   * there leads. Undefined if the client's file names no user.
   */
  async #users(clientFile: (user: Credentials) => string): Promise<Credentials | undefined> {
    const { users } = this.#home;
    const file = this.#home.config('client');
    const configured = existsSync(file) ? configuredUser(file) : undefined;
    if (existsSync(users) && existsSync(file)) {
      this.#files.push({ path: users, made: 'kept' }, { path: file, made: 'kept' });
      return configured;
    }
    const user = configured ?? { name: DEMO_USER, password: newPassword(this.#host) };
    const made = existsSync(users) ? 'changed' : 'made';
    await putUser(this.#host, users, { ...user, groups: [], replace: true });
    this.#files.push({ path: users, made });
    this.#once(file, () => clientFile(user));
    return user;
  }

  #growClient(plan: HomePlan & { readonly kind: 'local' }): void {
    const file = this.#home.config('client');
    const grown = addNodes(readFileSync(file, 'utf8'), plan.ports.base, plan.nodes);
    if (grown !== undefined) this.#write(file, grown);
  }
}

/** The authority of a home, which is made when the home has none. */
export async function openAuthority(host: Host, home: Home): Promise<CertificateAuthority> {
  const { certificate, key } = home.authority;
  if (!existsSync(certificate) && !existsSync(key)) return CertificateAuthority.create(host);
  for (const path of [certificate, key])
    if (!existsSync(path))
      throw new CliError('missing', `${path} is missing: without it no certificate can be issued`);
  try {
    return new CertificateAuthority(host, {
      certificate: readFileSync(certificate, 'utf8'),
      key: readFileSync(key, 'utf8'),
    });
  } catch (error) {
    throw new CliError(
      'failed',
      `${certificate} and ${key} are no RSA authority that can issue certificates`,
      { cause: error },
    );
  }
}
