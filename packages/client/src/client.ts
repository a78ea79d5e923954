import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Endpoint, Host, Log, MetricFamily, Resolve } from '@argyle/host';
import { Associations } from './associations.ts';
import { Cluster } from './cluster.ts';
import { Counters } from './counters.ts';
import { ClientError } from './errors.ts';
import { forwardLabel } from './forward-log.ts';
import { endpointLabel } from './label.ts';
import type { ClientOptions } from './options.ts';
import { CREDENTIAL_BYTES_MAX } from './socks-dialogue.ts';
import { SocksPort } from './socks-port.ts';
import { TcpForward } from './tcp-forward.ts';
import { UdpForward } from './udp-forward.ts';
import { clusterView, metricFamilies, type ClientFacts } from './status.ts';

/**
 * A local SOCKS5 port that leads into the cluster. Order of calls: start, perhaps drain, stop;
 * `readiness`, `metrics` and `views` at any time.
 */
export class Client {
  readonly views: Readonly<Record<string, () => unknown>>;
  readonly #options: ClientOptions;
  readonly #counters = new Counters();
  readonly #cluster: Cluster;
  readonly #associations: Associations;
  readonly #port: SocksPort;
  readonly #forwards: readonly (TcpForward | UdpForward)[];
  #listening: Endpoint;

  /** Throws a ClientError `configuration` when the options cannot work. */
  constructor(host: Host, log: Log, options: ClientOptions, resolve: Resolve) {
    this.#options = options;
    checkForwards(options);
    this.#listening = options.listen;
    const secureContext = secure(options);
    const counters = this.#counters;
    this.#cluster = new Cluster({ host, log, counters, resolve }, options, secureContext);
    const cluster = this.#cluster;
    const { requestMs } = options.limits;
    const associations = new Associations({ host, log, cluster }, options.udp, { requestMs });
    this.#associations = associations;
    this.#port = new SocksPort(host, log, options, counters, { cluster, associations });
    const { limits } = options;
    const forUdp = { host, log, associations, requestMs, idleMs: options.udp.idleMs };
    const forTcp = { host, log, cluster, counters, limits };
    this.#forwards = options.forwards.map((forward) =>
      forward.protocol === 'udp'
        ? new UdpForward(forUdp, forward)
        : new TcpForward(forTcp, forward),
    );
    this.views = { cluster: () => clusterView(this.#facts) };
  }

  /** Ends when applications can connect, with the address; nodes are reached meanwhile. */
  async start(): Promise<Endpoint> {
    this.#listening = await this.#port.listen();
    for (const forward of this.#forwards) await forward.listen();
    this.#cluster.start();
    return this.#listening;
  }

  /** Takes no more applications, and ends when those that are here have left or time is up. */
  async drain(boundMs: number): Promise<void> {
    await Promise.all([this.#port, ...this.#forwards].map((port) => port.drain(boundMs)));
  }

  /** Cuts what is left; every socket is closed and no timer runs when it ends. */
  async stop(): Promise<void> {
    await Promise.all([this.#port, ...this.#forwards].map((port) => port.stop()));
    await this.#associations.stop();
    await this.#cluster.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  readiness(): { readonly ready: boolean; readonly reason: string } {
    const { anyReached, nodes, names } = this.#cluster.status();
    if (anyReached) return { ready: true, reason: '' };
    const failed = [
      ...nodes.flatMap(({ label, lastFailure }) =>
        lastFailure ? [`${label}: ${lastFailure.message}`] : [],
      ),
      ...names.flatMap(({ name, failure }) =>
        failure === undefined ? [] : [`${name}: ${failure}`],
      ),
    ];
    const details = failed.length > 0 ? ` (${failed.join('; ')})` : ' yet';
    return { ready: false, reason: `no node was reached${details}` };
  }

  metrics(): readonly MetricFamily[] {
    return metricFamilies(this.#facts);
  }

  get #facts(): ClientFacts {
    return {
      listen: endpointLabel(this.#listening),
      serverName: this.#options.serverName,
      cluster: this.#cluster.status(),
      counters: this.#counters,
      ports: [this.#port, ...this.#forwards].flatMap((port) =>
        port instanceof UdpForward ? [] : [port.totals],
      ),
      associations: this.#associations.status,
      forwards: this.#forwards,
    };
  }
}

/** Two cannot have one port; 0 stands for another one each time. */
function checkForwards({ listen, forwards }: ClientOptions): void {
  const taken = new Set([`tcp ${endpointLabel(listen)}`]);
  for (const forward of forwards) {
    const place = `${forward.protocol} ${endpointLabel(forward.listen)}`;
    if (taken.has(place)) {
      const message = `${forwardLabel(forward)}: its port is used twice; check \`forwards\``;
      throw new ClientError('configuration', message);
    }
    if (forward.listen.port !== 0) taken.add(place);
  }
}

function secure({ ca, certificate, nodes, user }: ClientOptions): SecureContext {
  if (nodes.length === 0) throw new ClientError('configuration', '`nodes` names no node');
  for (const part of [user?.name, user?.password]) {
    if (part === undefined) continue;
    const sizeBytes = Buffer.byteLength(part);
    if (sizeBytes > 0 && sizeBytes <= CREDENTIAL_BYTES_MAX) continue;
    const message = '`user`: name and password need 1 to 255 bytes each';
    throw new ClientError('configuration', message);
  }
  try {
    new X509Certificate(ca);
    return createSecureContext({
      ca,
      minVersion: 'TLSv1.3',
      ...(certificate && { cert: certificate.certificate, key: certificate.key }),
    });
  } catch (error) {
    const message = '`ca` or `certificate` is no PEM that TLS can use';
    throw new ClientError('configuration', message, { cause: error });
  }
}
