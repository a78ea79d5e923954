import type { Host } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import type { Test } from 'tap';
import type { Lookup } from '../src/destination.ts';
import type { Filtering, PortRange, Rule } from '../src/options.ts';
import { ProtectedEndpoints } from '../src/protected-endpoints.ts';
import { RuleBook } from '../src/rule-book.ts';
import { UdpCounters, type UdpRefusal } from '../src/udp-counters.ts';
import type { RelayRequest } from '../src/udp-relay.ts';
import { UdpRelays } from '../src/udp-relays.ts';
import { read } from './udp-target.ts';

const ANYTHING = { users: [], groups: [], commands: [], networks: [], names: [], ports: [] };
export const LOOPBACK: Rule = {
  ...ANYTHING,
  action: 'allow',
  networks: ['127.0.0.0/8', '::1/128'],
};

interface Changes {
  readonly host?: Host;
  readonly rules?: readonly Rule[];
  readonly filtering?: Filtering;
  readonly destinations?: number;
  readonly ports?: PortRange;
  readonly lookup?: Lookup;
  readonly guarded?: readonly number[];
  readonly request?: Partial<RelayRequest>;
}

/** Relays with nothing before them, and one that is open. */
export function relayScene(t: Test, changes: Changes = {}) {
  const { host = new SystemHost(), rules = [LOOPBACK], filtering = 'address-dependent' } = changes;
  const counters = new UdpCounters();
  const guarded = (changes.guarded ?? []).map((port) => ({ address: '127.0.0.1', port }));
  const relays = new UdpRelays(host, {
    ...{ filtering, counters, destinations: changes.destinations ?? 64, ports: changes.ports },
    ...{ rules: new RuleBook(rules), lookUpMs: 5_000, lookup: changes.lookup },
    protectedEndpoints: new ProtectedEndpoints(guarded, () => []),
  });
  t.teardown(() => relays.close());
  const got: string[] = [];
  const opened: number[] = [];
  const open = (request: Partial<RelayRequest> = {}) =>
    relays.open({
      ...{ user: undefined, groups: () => [], outgoingPort: 0, target: undefined },
      opened: (port) => opened.push(port),
      received: (datagram) => got.push(read(datagram)),
      ...changes.request,
      ...request,
    });
  const refused = (reason: UdpRefusal) => counters.refused.count([reason]);
  return { relays, relay: open(), open, counters, refused, got, opened };
}
