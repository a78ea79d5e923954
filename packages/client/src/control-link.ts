import type { Cancel, Host } from '@argyle/host';
import {
  encodeUdpRequest,
  EXPORTER_BYTES,
  type ControlMessage,
  type EndReason,
  type Grant,
  type UdpRequest,
} from '@argyle/secure-udp';
import type { Cluster } from './cluster.ts';
import { Control } from './control.ts';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { SUCCEEDED, type Reply } from './socks-dialogue.ts';

/** What an association needs of the cluster for its control connection. */
export interface ControlContext {
  readonly host: Host;
  readonly cluster: Pick<Cluster, 'ask'>;
  /** One attempt at an adoption, over all nodes. */
  readonly requestMs: number;
}

/**
 * `gone`: nodes do not know the association any more, or it is another user's. `grace`: none could
 * be asked for as long as the association lives without a control connection.
 */
export type LinkEnd = EndReason | 'gone' | 'grace';

export interface LinkHandlers {
  /** A view. */
  payload(payload: Buffer): void;
  /** Monotonic time of the last record of a node: it keeps the association alive. */
  heardAt(): number;
  /** The connection broke; another is being made. */
  lost(): void;
  adopted(): void;
  /** The association is over; once. */
  over(reason: LinkEnd): void;
}

/** For `exportKeyingMaterial` (RFC 8446 §7.5), without a context. */
const EXPORTER_LABEL = 'EXPORTER argyle udp adopt 1';
/** RFC 1928 §6: not allowed by ruleset, connection refused. */
const GONE: ReadonlySet<number> = new Set([0x02, 0x05]);
/** Between attempts at an adoption, doubled. */
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 2_000;
/** In a row: one node alone may not have heard of the association yet. */
const REFUSALS_BELIEVED = 3;
/** A node may be lost between its answer and its grant. */
const OPENINGS_MAX = 3;

type Proof = (exported: Uint8Array) => Uint8Array;

/**
 * An association's control connection, made again at whatever node answers when it is lost or its
 * node leaves. Order of calls: `open`, `keep`, then payloads, and `close` once.
 */
export class ControlLink {
  readonly grant: Grant;
  readonly #context: ControlContext;
  #control: Control | undefined;
  #handlers: LinkHandlers | undefined;
  #proof: Proof = () => new Uint8Array();
  #adopting: AbortController | undefined;
  #cancelRetry: Cancel | undefined;
  #lostAt = -Infinity;
  #tries = 0;
  #refusals = 0;
  #closed = false;

  /**
   * Asks for a new association: what a node granted, or its refusal. Rejects with a ClientError
   * when no node answers or the signal aborts.
   */
  static async open(
    context: ControlContext,
    request: UdpRequest,
    signal: AbortSignal,
  ): Promise<ControlLink | Reply> {
    for (let count = 1; ; count += 1) {
      const { reply, tunnel } = await context.cluster.ask(encodeUdpRequest(request), signal);
      if (reply.code !== SUCCEEDED) return reply;
      const granted = Promise.withResolvers<Grant>();
      let link: ControlLink | undefined;
      const control = new Control(tunnel, {
        message: (message) => {
          if (link) link.#message(message);
          else if (message.kind === 'grant') granted.resolve(message.grant);
          else granted.reject(new ClientError('protocol', 'the node granted nothing'));
        },
        left: () => {
          if (link) link.#left(control);
        },
        lost: () => {
          granted.reject(new ClientError('closed', 'the node was lost before its grant'));
          if (link) link.#lost(control);
        },
      });
      const abort = () => granted.reject(failureOf(signal.reason));
      signal.addEventListener('abort', abort);
      if (signal.aborted) abort();
      try {
        const grant = await granted.promise;
        link = new ControlLink(context, grant, control);
        return link;
      } catch (error) {
        control.abort();
        const lost = failureOf(error).code === 'closed';
        if (!lost || signal.aborted || count === OPENINGS_MAX) throw error;
      } finally {
        signal.removeEventListener('abort', abort);
      }
    }
  }

  private constructor(context: ControlContext, grant: Grant, control: Control) {
    this.#context = context;
    this.grant = grant;
    this.#control = control;
  }

  get up(): boolean {
    return this.#control !== undefined;
  }

  /** At once after `open`: what comes, comes to the handlers. */
  keep(proof: Proof, handlers: LinkHandlers): void {
    this.#proof = proof;
    this.#handlers = handlers;
  }

  /** Copies it. False if it was not sent. */
  sendPayload(payload: Uint8Array): boolean {
    return this.#control?.sendPayload(payload) ?? false;
  }

  /**
   * `end` tells the node that the association is over; with `leave` it lives on there for its grace
   * time. Ends when nothing is left of the connection.
   */
  async close(how: 'end' | 'leave'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelRetry?.();
    this.#adopting?.abort(new ClientError('stopped', 'the association is over'));
    const control = this.#control;
    if (how === 'end') control?.end((ms, wake) => this.#context.host.after(ms, wake));
    else control?.abort();
    await control?.closed;
  }

  #message(message: ControlMessage): void {
    if (this.#closed) return;
    if (message.kind === 'payload') this.#handlers?.payload(message.payload);
    else if (message.kind === 'ended') this.#over(message.reason);
    // A grant comes once: the second makes no sense, and changes nothing.
  }

  /** The node drains: what is said there is relayed until another has adopted the association. */
  #left(control: Control): void {
    if (control === this.#control) this.#begin();
  }

  #lost(control: Control): void {
    if (control !== this.#control) return;
    this.#control = undefined;
    this.#begin();
    this.#handlers?.lost();
  }

  #begin(): void {
    if (this.#closed || this.#adopting || this.#cancelRetry) return;
    this.#lostAt = this.#context.host.now();
    this.#tries = 0;
    this.#refusals = 0;
    this.#adopt();
  }

  #adopt(): void {
    this.#cancelRetry = undefined;
    const controller = new AbortController();
    this.#adopting = controller;
    const { host, cluster, requestMs } = this.#context;
    const cancel = host.after(requestMs, () => {
      controller.abort(new ClientError('timeout', 'no answer within the time of a request'));
    });
    const request = (exported: (label: string, sizeBytes: number) => Uint8Array) => {
      const proof = this.#proof(exported(EXPORTER_LABEL, EXPORTER_BYTES));
      return encodeUdpRequest({ kind: 'adopt', association: this.grant.id, proof });
    };
    cluster
      .ask(request, controller.signal)
      .then(
        ({ reply, tunnel }) => {
          if (this.#closed || reply.code !== SUCCEEDED) tunnel.abort();
          if (this.#closed) return undefined;
          if (reply.code === SUCCEEDED) return this.#adopted(tunnel);
          if (GONE.has(reply.code)) this.#refusals += 1;
          return this.#refusals < REFUSALS_BELIEVED ? this.#again() : this.#over('gone');
        },
        () => this.#again(),
      )
      .finally(cancel);
  }

  #adopted(tunnel: ConstructorParameters<typeof Control>[0]): void {
    this.#adopting = undefined;
    const former = this.#control;
    const control = new Control(tunnel, {
      message: (message) => this.#message(message),
      left: () => this.#left(control),
      lost: () => this.#lost(control),
    });
    this.#control = control;
    former?.end((ms, wake) => this.#context.host.after(ms, wake));
    this.#handlers?.adopted();
  }

  #again(): void {
    this.#adopting = undefined;
    if (this.#closed) return;
    const { host } = this.#context;
    const aliveAt = Math.max(this.#lostAt, this.#handlers?.heardAt() ?? -Infinity);
    if (host.now() >= aliveAt + this.grant.graceMs) {
      this.#over('grace');
      return;
    }
    const delayMs = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.#tries);
    this.#tries += 1;
    this.#cancelRetry = host.after(delayMs, () => this.#adopt());
  }

  #over(reason: LinkEnd): void {
    void this.close('leave');
    this.#handlers?.over(reason);
  }
}
