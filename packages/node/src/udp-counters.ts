import type { MetricFamily } from '@argyle/host';
import type { SocksDatagramFault } from '@argyle/secure-udp';
import { Counter } from './counter.ts';

/**
 * Why a datagram of a client went nowhere. Besides what is wrong with its header: `port`: 0;
 * `fragment`: one whose others did not come, or not in order; `rule`: its target is not allowed;
 * `target`: it is not the association's only one; `name`: that has no address; `waiting`: too many
 * wait for a name or a socket; `socket`: none can be opened; `size`: too large; `network`: the
 * system did not send it.
 */
export type UdpRefusal =
  | SocksDatagramFault
  | 'port'
  | 'fragment'
  | 'rule'
  | 'target'
  | 'name'
  | 'waiting'
  | 'socket'
  | 'size'
  | 'network';

const REFUSALS: readonly UdpRefusal[] = [
  'truncated',
  'reserved',
  'address-type',
  'port',
  'fragment',
  'rule',
  'target',
  'name',
  'waiting',
  'socket',
  'size',
  'network',
];

/** Datagrams and their bytes, without headers of SOCKS. */
export class Flow {
  datagrams = 0;
  bytes = 0;

  add(bytes: number): void {
    this.datagrams += 1;
    this.bytes += bytes;
  }
}

/** What goes through the UDP port and to targets. */
export class UdpCounters {
  readonly toTargets = new Flow();
  readonly fromTargets = new Flow();
  /** From targets that the association has not sent to, as far as filtering says so. */
  filtered = 0;
  /** Datagrams at the UDP port, by their first bytes. */
  readonly arrived = { secure: 0, conventional: 0, other: 0 };
  /** Conventional ones from where no association is. */
  strangers = 0;
  /** Datagrams that the system did not send to clients. */
  unsent = 0;
  readonly refused = new Counter<readonly [UdpRefusal]>(
    'udp_refused_total',
    'Datagrams of clients that were not sent to a target, by why.',
    { labels: ['reason'], known: REFUSALS.map((reason) => [reason]) },
  );
  readonly conventional = new Counter<
    readonly ['opened' | 'clear' | 'port' | 'limit' | 'address-limit' | 'ended' | 'idle']
  >(
    'udp_conventional_total',
    'Conventional associations: opened, ended, and those of them that were idle; refused because ' +
      'they would be in clear, at the port of another, or too many.',
    {
      labels: ['event'],
      known: [['opened'], ['clear'], ['port'], ['limit'], ['address-limit'], ['ended'], ['idle']],
    },
  );

  /** A datagram for a target that the system did not send. */
  refuseUnsent(error: Error): void {
    this.refused.add(['code' in error && error.code === 'EMSGSIZE' ? 'size' : 'network']);
  }

  families(): readonly MetricFamily[] {
    const { toTargets, fromTargets, arrived } = this;
    return [
      byLabel('udp_datagrams_total', 'Datagrams relayed, by direction.', 'direction', {
        'to-target': toTargets.datagrams,
        'to-client': fromTargets.datagrams,
      }),
      byLabel('udp_bytes_total', 'Bytes in them, without headers.', 'direction', {
        'to-target': toTargets.bytes,
        'to-client': fromTargets.bytes,
      }),
      byLabel('udp_arrived_total', 'Datagrams at the UDP port, by kind.', 'kind', arrived),
      byLabel(
        'udp_turned_away_total',
        'Datagrams that belong to nobody: from where no conventional association is, and from ' +
          'targets that filtering does not let in.',
        'reason',
        { stranger: this.strangers, filtered: this.filtered },
      ),
      byLabel('udp_port_unsent_total', 'Datagrams to clients that were not sent.', 'reason', {
        network: this.unsent,
      }),
      this.refused.family(),
      this.conventional.family(),
    ];
  }
}

function byLabel(
  name: string,
  help: string,
  label: string,
  counts: Readonly<Record<string, number>>,
): MetricFamily {
  const values = Object.entries(counts).map(([key, value]) => ({
    labels: { [label]: key },
    value,
  }));
  return { name, help, type: 'counter', values };
}
