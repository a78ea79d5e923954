import type { Cancel, Endpoint, Host } from '@argyle/host';
import multicastDns from 'multicast-dns';

const SERVICE = '_argyle._udp.local';
/** Seconds that others may remember an answer. */
const TTL_SECONDS = 120;
const QUERY_INTERVAL_MS = 10_000;
const ANSWERS_READ_MAX = 64;

export interface DiscoveryOptions {
  readonly host: Host;
  /** Hexadecimal, derived from the cluster key: others' announcements are ignored. */
  readonly clusterId: string;
  readonly name: string;
  readonly own: Endpoint;
  /** A member may be at that endpoint: the address that announced it, and the port it named. */
  readonly found: (endpoint: Endpoint) => void;
  /**
   * Discovery does not work here, told once; members may still hear of each other by heartbeats.
   */
  readonly failed: (error: Error) => void;
}

/**
 * Finds members by multicast DNS (RFC 6762, RFC 6763). A hint only: whoever is found proves itself
 * by its heartbeats. It is an edge with sockets and timers of its own, not a machine.
 */
export class Discovery {
  failures = 0;
  readonly #options: DiscoveryOptions;
  readonly #instance: string;
  readonly #mdns: multicastDns.MulticastDNS;
  #cancel: Cancel | undefined;
  #closed = false;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { clusterId, name, own } = options;
    this.#instance = `${label(name)}.${clusterId}.${SERVICE}`;
    this.#mdns = multicastDns({ interface: own.address, bind: '0.0.0.0', reuseAddr: true });
    this.#mdns.on('error', (error) => {
      this.failures += 1;
      if (this.failures === 1) options.failed(error);
    });
    this.#mdns.on('warning', () => undefined);
    this.#mdns.on('query', (query) => {
      if (query.questions?.some(({ name: asked }) => asked === SERVICE)) this.#announce();
    });
    this.#mdns.on('response', (response, from) => {
      this.#read([...(response.answers ?? []), ...(response.additionals ?? [])], from.address);
    });
    this.#mdns.on('ready', () => {
      this.#announce();
      this.#ask();
    });
  }

  close(closed?: () => void): void {
    this.#closed = true;
    this.#cancel?.();
    this.#mdns.destroy(closed);
  }

  #ask(): void {
    if (this.#closed) return;
    this.#mdns.query(SERVICE, 'PTR');
    this.#cancel = this.#options.host.after(QUERY_INTERVAL_MS, () => this.#ask());
  }

  #announce(): void {
    if (this.#closed) return;
    const { own, name, clusterId } = this.#options;
    const target = `${label(name)}.${clusterId}.local`;
    this.#mdns.respond({
      answers: [
        { name: SERVICE, type: 'PTR', ttl: TTL_SECONDS, data: this.#instance },
        { name: this.#instance, type: 'SRV', ttl: TTL_SECONDS, data: { port: own.port, target } },
        { name: target, type: 'A', ttl: TTL_SECONDS, data: own.address },
      ],
    });
  }

  #read(records: readonly { name: string; type: string }[], address: string): void {
    const suffix = `.${this.#options.clusterId}.${SERVICE}`;
    for (const record of records.slice(0, ANSWERS_READ_MAX)) {
      if (record.type !== 'SRV' || !record.name.endsWith(suffix)) continue;
      const port = portOf(record);
      const { own } = this.#options;
      if (port === undefined || (address === own.address && port === own.port)) continue;
      this.#options.found({ address, port });
    }
  }
}

function portOf(record: object): number | undefined {
  if (!('data' in record) || typeof record.data !== 'object' || record.data === null)
    return undefined;
  const port = 'port' in record.data ? record.data.port : undefined;
  return typeof port === 'number' && port > 0 && port <= 65_535 ? port : undefined;
}

/** One DNS label: at most 63 bytes, no dot. */
function label(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9-]/g, '-').slice(0, 63);
}
