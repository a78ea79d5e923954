import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import type { Endpoint } from '@argyle/host';
import { type Compose, findEngine } from '../scripts/engine.ts';
import { run, type ClusterView } from './real-cluster.ts';

const ROOT = resolve(import.meta.dirname, '..');
/** Below what systems choose for outgoing connections, and above what other tests use. */
const BASES = Array.from({ length: 20 }, (_, index) => 17_000 + 100 * index);
const BALANCED_OFFSET = 79;
const CLIENT_OFFSET = 80;
const CLIENT_ADMIN_OFFSET = 81;
const NODE_ADMIN_OFFSETS = [82, 99] as const;
const ADMIN = 'http://127.0.0.1:12080';
const TARGET_PORT = 8_000;
const SERVERS = `
  require('http').createServer((_, answer) => answer.end('small')).listen(${TARGET_PORT});
  const socket = require('dgram').createSocket('udp4');
  socket.on('message', (bytes, { address, port }) => socket.send(bytes, port, address));
  socket.bind(${TARGET_PORT});
`;
/** Services beside those that always run: the balancer, and the client that knows it alone. */
const PROFILE = { COMPOSE_PROFILES: 'balancer' };
type Profile = Readonly<Record<string, string>>;
/** Marks what the first stage of the image's build leaves behind. */
const STAGE = ['--filter', 'dangling=true', '--filter', 'label=argyle.stage=installed'];

export interface CacheView {
  readonly records: number;
  readonly digest: string;
}

/** What `docker inspect` says, as far as it is looked at. */
export interface Inspected {
  readonly Name: string;
  readonly Config: { readonly User: string; readonly Hostname: string };
  readonly HostConfig: { readonly ReadonlyRootfs: boolean; readonly CapDrop: readonly string[] };
  readonly State: { readonly FinishedAt: string; readonly Health?: { readonly Status: string } };
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly Published[] | null>>;
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>;
  };
}

export interface Published {
  readonly HostIp: string;
  readonly HostPort: string;
}

export type Service = 'node' | 'client' | 'balancer' | 'balanced-client';

/**
 * The cluster of docker-compose.yml under a name, a network and host ports of its own, beside
 * whatever else runs in containers here.
 */
export class ContainerCluster {
  readonly project: string;
  readonly clientPort: number;
  readonly balancedPort: number;
  readonly composes: readonly [Compose, ...Compose[]];
  readonly #env: Readonly<Record<string, string>>;
  readonly #image: string;
  #stagesBefore: readonly string[] = [];

  /** On host ports that are free, with a network that nobody else has, or is about to have. */
  static async open(): Promise<ContainerCluster> {
    const engine = findEngine();
    if ('missing' in engine) throw new Error(`containers cannot be tested: ${engine.missing}`);
    const used = await subnets();
    const start = randomInt(BASES.length);
    for (let turn = 0; turn < BASES.length; turn += 1) {
      const index = (start + turn) % BASES.length;
      const base = BASES[index] ?? 0;
      const subnet = `198.19.${200 + index}.0/24`;
      const ports = [BALANCED_OFFSET, CLIENT_OFFSET, CLIENT_ADMIN_OFFSET, ...NODE_ADMIN_OFFSETS];
      const free = await Promise.all(ports.map((offset) => isFree(base + offset)));
      if (free.every(Boolean) && !used.includes(subnet))
        return new ContainerCluster(engine.composes, base, subnet);
    }
    throw new Error('no free range of ports');
  }

  constructor(composes: readonly [Compose, ...Compose[]], base: number, subnet: string) {
    this.composes = composes;
    this.project = `argyle-test-${randomBytes(4).toString('hex')}`;
    this.clientPort = base + CLIENT_OFFSET;
    this.balancedPort = base + BALANCED_OFFSET;
    this.#image = this.project;
    const [first, last] = NODE_ADMIN_OFFSETS;
    this.#env = {
      ARGYLE_IMAGE: this.#image,
      ARGYLE_BALANCER_IMAGE: this.#balancerImage,
      ARGYLE_SUBNET: subnet,
      ARGYLE_CLIENT_PORT: String(this.clientPort),
      ARGYLE_BALANCED_PORT: String(this.balancedPort),
      ARGYLE_CLIENT_ADMIN_PORT: String(base + CLIENT_ADMIN_OFFSET),
      ARGYLE_NODE_ADMIN_PORTS: `${base + first}-${base + last}`,
    };
  }

  get #balancerImage(): string {
    return `${this.project}-balancer`;
  }

  get #network(): string {
    return `${this.project}_cluster`;
  }

  async build(): Promise<void> {
    await succeed(join(ROOT, 'scripts/base-image'), []);
    this.#stagesBefore = await lines('docker', ['images', '-q', '--no-trunc', ...STAGE]);
    await this.#compose(PROFILE, 'build', 'init', 'balancer');
  }

  /**
   * As many nodes as said, and the client; those that were killed start again. `balancer`: that
   * too, and the client behind it.
   */
  async up(nodes: number, { balancer = false } = {}): Promise<void> {
    const profile = balancer ? PROFILE : {};
    await this.#compose(profile, 'up', '-d', '--no-build', '--scale', `node=${nodes}`);
  }

  /** All that the file has, as one compose reads it. */
  async services(compose: Compose): Promise<readonly string[]> {
    const said = await this.#composeBy(compose, PROFILE, 'config', '--services');
    return said.trim().split('\n').sort();
  }

  version(compose: Compose): Promise<string> {
    return this.#composeBy(compose, {}, 'version');
  }

  #compose(profile: Profile, ...args: string[]): Promise<string> {
    return this.#composeBy(this.composes[0], profile, ...args);
  }

  #composeBy([command, ...words]: Compose, profile: Profile, ...args: string[]): Promise<string> {
    const file = ['-f', join(ROOT, 'docker-compose.yml')];
    const env = { ...this.#env, ...profile };
    return succeed(command, [...words, ...file, '-p', this.project, ...args], env);
  }

  /** Ids of a service's containers that run. */
  ids(service: Service): Promise<readonly string[]> {
    const labels = [`project=${this.project}`, `service=${service}`];
    const filters = labels.flatMap((label) => ['--filter', `label=com.docker.compose.${label}`]);
    return lines('docker', ['ps', '-q', '--no-trunc', ...filters]);
  }

  async inspect(id: string): Promise<Inspected> {
    const [found] = JSON.parse(await succeed('docker', ['inspect', id])) as Inspected[];
    if (!found) throw new Error(`no container ${id}`);
    return found;
  }

  /** In the cluster's network. */
  async address(id: string): Promise<string> {
    const { NetworkSettings } = await this.inspect(id);
    return NetworkSettings.Networks[this.#network]?.IPAddress ?? '';
  }

  async kill(id: string): Promise<void> {
    await succeed('docker', ['kill', id]);
  }

  /** Takes it from its network; what it answers brings it back, with the address it had. */
  async unplug(id: string): Promise<() => Promise<void>> {
    const address = await this.address(id);
    await succeed('docker', ['network', 'disconnect', this.#network, id]);
    return async () => {
      const as = ['--ip', address, '--alias', 'node'];
      await succeed('docker', ['network', 'connect', ...as, this.#network, id]);
    };
  }

  /** HTTP and an echo of datagrams among the nodes; answers what a node has to ask for. */
  async serve(): Promise<Endpoint> {
    const network = ['--network', this.#network, '--network-alias', 'target'];
    const args = ['--init', '--read-only', '--no-healthcheck', ...network];
    const name = ['--name', `${this.project}-target`, '--entrypoint', 'node'];
    await succeed('docker', ['run', '-d', ...args, ...name, this.#image, '-e', SERVERS]);
    return { address: 'target', port: TARGET_PORT };
  }

  /** What a JavaScript expression, or its promise, is in a container. */
  async evaluate<Value>(id: string, expression: string): Promise<Value> {
    const program = `(async () => console.log(JSON.stringify(await (${expression}))))()`;
    return JSON.parse(await succeed('docker', ['exec', id, 'node', '-e', program])) as Value;
  }

  /** An admin answer as JSON, asked for within the container. */
  own<View>(id: string, path: string): Promise<View> {
    return this.evaluate(id, `fetch('${ADMIN}${path}').then((answer) => answer.json())`);
  }

  /** A full handshake at a node: one more lineage in the cache. */
  async handshake(id: string): Promise<void> {
    const name = `servername: 'argyle.cluster', ca: fs.readFileSync('ca.pem')`;
    const given = `events.once(socket, 'session').then(() => socket.destroy().destroyed)`;
    const visit = `((socket) => ${given})(tls.connect({ port: 11080, ${name} }))`;
    await this.evaluate(id, visit);
  }

  /** An admin answer, asked for through the published port. */
  async admin(id: string, path: string): Promise<Response> {
    const { NetworkSettings } = await this.inspect(id);
    const [published] = NetworkSettings.Ports['12080/tcp'] ?? [];
    return fetch(`http://127.0.0.1:${published?.HostPort ?? 0}${path}`);
  }

  async view<View>(id: string, path: string): Promise<View> {
    return (await (await this.admin(id, path)).json()) as View;
  }

  async ready(id: string): Promise<boolean> {
    return this.admin(id, '/readyz').then(
      ({ ok }) => ok,
      () => false,
    );
  }

  cluster(id: string): Promise<ClusterView> {
    return this.view(id, '/api/v1/cluster');
  }

  cache(id: string): Promise<CacheView> {
    return this.view(id, '/api/v1/cache');
  }

  /** Sums of the metrics over all label sets that contain the text. */
  async metrics(id: string, wanted: Readonly<Record<string, string>>): Promise<number[]> {
    const text = await (await this.admin(id, '/metrics')).text();
    return Object.entries(wanted).map(([name, label]) => {
      const named = new RegExp(`^argyle_${name}(?!\\w)`);
      const found = text.split('\n').filter((line) => named.test(line));
      if (found.length === 0) throw new Error(`no metric argyle_${name}`);
      return found
        .filter((line) => line.includes(label))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    });
  }

  logs(id: string): Promise<string> {
    return succeed('docker', ['logs', id]);
  }

  /** Of everything that ran, for whoever reads a failure. */
  allLogs(): Promise<string> {
    return this.#compose(PROFILE, 'logs', '--no-color', '--tail', '200');
  }

  /** What is here of this cluster: containers, volumes, networks, images. */
  async remains(): Promise<readonly string[]> {
    const label = ['--filter', `label=com.docker.compose.project=${this.project}`];
    const found = await Promise.all([
      lines('docker', ['ps', '-aq', ...label]),
      lines('docker', ['ps', '-aq', '--filter', `name=${this.project}`]),
      lines('docker', ['volume', 'ls', '-q', ...label]),
      lines('docker', ['network', 'ls', '-q', ...label]),
      lines('docker', ['images', '-q', this.#image]),
      lines('docker', ['images', '-q', this.#balancerImage]),
      lines('docker', ['images', '-q', '--no-trunc', ...STAGE]),
    ]);
    return found.flat().filter((id) => !this.#stagesBefore.includes(id));
  }

  async remove(): Promise<void> {
    await run('/bin/sh', ['-c', this.#removal]);
  }

  /** For a signal's handler, after which this process may have no time left. */
  removeDetached(): void {
    const options = { detached: true, stdio: 'ignore' } as const;
    spawn('/bin/sh', ['-c', this.#removal], options).unref();
  }

  /** Goes on where something is gone already. Twice, for what was just being made. */
  get #removal(): string {
    const { project } = this;
    const label = `--filter label=com.docker.compose.project=${project}`;
    const kept = ['none', ...this.#stagesBefore].map((id) => `-e ${id}`).join(' ');
    const stages = `docker images -q --no-trunc ${STAGE.join(' ')}`;
    const once = [
      `docker ps -aq ${label} | xargs -r docker rm -fv`,
      `docker ps -aq --filter name=${project} | xargs -r docker rm -fv`,
      `docker network ls -q ${label} | xargs -r docker network rm`,
      `docker volume ls -q ${label} | xargs -r docker volume rm -f`,
      `docker rmi -f ${this.#image} ${this.#balancerImage}`,
      `${stages} | grep -v ${kept} | xargs -r docker rmi`,
    ].join('; ');
    return `{ ${once}; ${once}; } >/dev/null 2>&1`;
  }
}

async function subnets(): Promise<readonly string[]> {
  const ids = await lines('docker', ['network', 'ls', '-q']);
  const format = '{{range .IPAM.Config}}{{println .Subnet}}{{end}}';
  return lines('docker', ['network', 'inspect', '--format', format, ...ids]);
}

async function lines(command: string, args: readonly string[]): Promise<readonly string[]> {
  const output = await succeed(command, args);
  return output.split('\n').filter((line) => line !== '');
}

async function succeed(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { code, output } = await run(command, args, env);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${output}`);
  return output;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
