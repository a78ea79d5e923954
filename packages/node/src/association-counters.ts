import type { MetricFamily } from '@argyle/host';
import type { EndReason, NodeAssociations } from '@argyle/secure-udp';
import { Counter, gauge } from './counter.ts';

/**
 * How a request for an association ended. `granted`, `adopted`: well. `rule`: its target is not
 * allowed or not found. `limit`, `address-limit`: there are too many. `unknown`, `user`, `proof`:
 * an adoption of what nobody knows, of somebody else's, and without the secret. `failed`: the cache
 * took no record of it. `left`: nobody waited for the answer.
 */
export type AssociationResult =
  | 'granted'
  | 'adopted'
  | 'rule'
  | 'limit'
  | 'address-limit'
  | 'unknown'
  | 'user'
  | 'proof'
  | 'failed'
  | 'left';

const RESULTS: readonly AssociationResult[] = [
  'granted',
  'adopted',
  'rule',
  'limit',
  'address-limit',
  'unknown',
  'user',
  'proof',
  'failed',
  'left',
];

/** What a node counts of secure UDP, besides what the machine does. */
export class AssociationCounters {
  readonly asked = new Counter<readonly [AssociationResult]>(
    'udp_associations_total',
    'Requests for associations of secure UDP, new ones and adoptions, by result.',
    { labels: ['result'], known: RESULTS.map((result) => [result]) },
  );
  readonly ended = new Counter<readonly [EndReason]>(
    'udp_associations_ended_total',
    'Associations that were served here or had their control connection here, by why they ended.',
    { labels: ['reason'], known: [['closed'], ['deleted'], ['replay']] },
  );
  readonly controlPayloads = new Counter<readonly ['from-client' | 'to-client' | 'dropped']>(
    'udp_control_payloads_total',
    'Datagrams that went over TLS, because UDP is blocked between client and node.',
    { labels: ['direction'], known: [['from-client'], ['to-client'], ['dropped']] },
  );

  families(machine: NodeAssociations, controls: number): readonly MetricFamily[] {
    const own = [this.asked, this.ended, this.controlPayloads].map((counter) => counter.family());
    return [...own, gauge('udp_controls', 'Control connections.', controls), ...of(machine)];
  }
}

function of({ size, offers, counters }: NodeAssociations): readonly MetricFamily[] {
  return [
    gauge('udp_associations', 'Associations with an epoch at this node.', size),
    gauge('udp_epochs', 'Epochs at this node.', counters.epochs),
    gauge('udp_offers', 'Take-overs that were offered and not yet taken up.', offers),
    byLabel('udp_records_total', 'Records of secure UDP, opened and sealed.', 'direction', [
      ['in', counters.opened],
      ['out', counters.sealed],
    ]),
    byLabel('udp_payloads_total', "Payloads in them, clients' and targets'.", 'direction', [
      ['from-client', counters.payloadsIn],
      ['to-client', counters.payloadsOut],
    ]),
    byLabel('udp_dropped_total', 'Records that changed nothing, by why.', 'reason', [
      ...counters.dropped,
    ]),
    byLabel('udp_unsent_total', 'What was not sent to a client, by why.', 'reason', [
      ...counters.unsent,
    ]),
    single('udp_takes_total', 'Take-overs offered.', counters.takes),
    single('udp_epochs_total', 'Epochs that clients have opened.', counters.epochsOpened),
    single('udp_moves_total', "Changes of a client's address that were proven.", counters.moves),
    single(
      'udp_stood_still_total',
      'How often all epochs were forgotten, because the process had stood still.',
      counters.stoodStill,
    ),
  ];
}

function byLabel(
  name: string,
  help: string,
  label: string,
  counts: readonly (readonly [string, number])[],
): MetricFamily {
  const values = counts.map(([value, count]) => ({ labels: { [label]: value }, value: count }));
  return { name, help, type: 'counter', values };
}

function single(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'counter', values: [{ labels: {}, value }] };
}
