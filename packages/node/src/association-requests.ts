import type { Cancel, Host } from '@argyle/host';
import {
  AssociationKeys,
  decodeAdoption,
  drawAssociation,
  EXPORTER_BYTES,
  UdpCommand,
  type AssociationRecord,
} from '@argyle/secure-udp';
import type { AssociationCounters, AssociationResult } from './association-counters.ts';
import type { AssociationStore } from './association-store.ts';
import { ConnectionTable, type Seat } from './connection-table.ts';
import type { ControlConnection } from './control-connection.ts';
import type { UdpOptions } from './options.ts';
import type { SecureAssociations } from './secure-associations.ts';
import type { ReplyName } from './socks-reply.ts';
import { parseTarget } from './socks-request.ts';
import type { UdpRelays } from './udp-relays.ts';

/** Whoever asks, on a connection of our client. */
export interface AssociationAsker {
  readonly user: string | undefined;
  readonly groups: () => readonly string[];
  /** Whom limits count it against. */
  readonly address: string;
  readonly lineage: Uint8Array;
  /** Aborts when it waits no longer. */
  readonly left: AbortSignal;
  /** RFC 8446 §7.5, of the TLS connection that the request came by. */
  exported(sizeBytes: number, label: string): Uint8Array;
  /** Sends the reply. */
  answer(reply: ReplyName): void;
}

export interface AssociationRequestsContext {
  readonly host: Host;
  readonly store: AssociationStore;
  readonly associations: SecureAssociations;
  readonly relays: Pick<UdpRelays, 'judge'>;
  readonly counters: AssociationCounters;
  readonly options: UdpOptions;
}

/** Of the TLS connection that adopts an association. */
const EXPORTER_LABEL = 'EXPORTER argyle udp adopt 1';

type Refusal = Exclude<AssociationResult, 'granted' | 'adopted'>;

const REPLIES: Readonly<Record<Refusal, ReplyName>> = {
  rule: 'not-allowed',
  limit: 'failed',
  'address-limit': 'failed',
  unknown: 'not-allowed',
  user: 'not-allowed',
  proof: 'not-allowed',
  failed: 'failed',
  left: 'failed',
};

/** Whether a request is for secure UDP, of whichever kind. */
export function asksForAssociation(request: Buffer): boolean {
  const commands: readonly number[] = Object.values(UdpCommand);
  return request[0] === 5 && commands.includes(request[1] ?? 0);
}

/** Grants associations to clients and has others adopted by them. */
export class AssociationRequests {
  readonly #context: AssociationRequestsContext;
  readonly #seats: ConnectionTable;
  /** Of associations that have no control connection here any more, with what keeps them. */
  readonly #kept = new Map<string, { readonly seat: Seat; readonly cancel: Cancel }>();
  #closed = false;

  constructor(context: AssociationRequestsContext) {
    const { associations: connections, associationsPerAddress } = context.options;
    this.#context = context;
    this.#seats = new ConnectionTable({
      connections,
      connectionsPerAddress: associationsPerAddress,
    });
  }

  /** Answers; after a success, what is to be joined to the tunnel. */
  async ask(request: Buffer, asker: AssociationAsker): Promise<ControlConnection | undefined> {
    const { counters } = this.#context;
    const seat = this.#seats.seat(asker.address);
    if (typeof seat === 'string') return this.#refuse(seat, asker);
    const found =
      request[1] === UdpCommand.adopt
        ? this.#adopt(request, asker)
        : await this.#draw(request, asker);
    if (typeof found === 'string') {
      seat.release();
      return this.#refuse(found, asker);
    }
    const { id, record, isNew } = found;
    counters.asked.add([isNew ? 'granted' : 'adopted']);
    asker.answer('succeeded');
    this.#release(id);
    const { associations } = this.#context;
    const control = associations.control(id, record.lineage, () => {
      this.#keep(id, seat, record.graceMs);
    });
    if (isNew) {
      const { secret, suite, graceMs } = record;
      control.grant({ id, secret, suite, graceMs });
    }
    return control;
  }

  #adopt(request: Buffer, asker: AssociationAsker): Found | Refusal {
    const adoption = decodeAdoption(request);
    const id = adoption?.association ?? '';
    const record = this.#context.store.find(id);
    if (!adoption || !record) return 'unknown';
    if (record.user !== (asker.user ?? '')) return 'user';
    const keys = new AssociationKeys({ id, ...record, random: this.#random });
    const exported = asker.exported(EXPORTER_BYTES, EXPORTER_LABEL);
    if (!keys.verifiesAdoption(exported, adoption.proof)) return 'proof';
    return { id, record, isNew: false };
  }

  async #draw(request: Buffer, asker: AssociationAsker): Promise<Found | Refusal> {
    const { store, relays, options } = this.#context;
    const target = request[1] === UdpCommand.associateWith ? parseTarget(request) : undefined;
    if (typeof target === 'string') return 'rule';
    if (target && !(await relays.judge(target, asker))) return 'rule';
    const { id, secret } = drawAssociation(this.#random);
    const record: AssociationRecord = {
      ...{ secret, suite: options.suite, replay: options.replay, graceMs: options.graceMs },
      ...{ lineage: asker.lineage, user: asker.user ?? '', target, owner: '' },
      ...{ clientPort: 0, outgoingPort: 0, claims: 0 },
    };
    const end = await store.add(id, record);
    if (end === 'failed' || !store.find(id)) return 'failed';
    if (!asker.left.aborted) return { id, record, isNew: true };
    store.delete(id);
    return 'left';
  }

  readonly #random = (sizeBytes: number): Uint8Array => this.#context.host.random(sizeBytes);

  close(): void {
    this.#closed = true;
    for (const id of [...this.#kept.keys()]) this.#release(id);
  }

  /** Whoever breaks a connection off leaves a record behind, which lives for a grace time. */
  #keep(id: string, seat: Seat, graceMs: number): void {
    const { host, store } = this.#context;
    this.#release(id);
    if (this.#closed || !store.find(id)) return seat.release();
    this.#kept.set(id, { seat, cancel: host.after(graceMs, () => this.#release(id)) });
  }

  #release(id: string): void {
    const kept = this.#kept.get(id);
    this.#kept.delete(id);
    kept?.cancel();
    kept?.seat.release();
  }

  #refuse(result: Refusal, asker: AssociationAsker): undefined {
    this.#context.counters.asked.add([result]);
    asker.answer(REPLIES[result]);
  }
}

interface Found {
  readonly id: string;
  readonly record: AssociationRecord;
  readonly isNew: boolean;
}
