import { DatagramSocket, type Cancel, type Endpoint, type Host, type Log } from '@argyle/host';
import { encodeSocksDatagram, socksHeaderBytes } from '@argyle/secure-udp';
import { Association } from './association.ts';
import type { Associations } from './associations.ts';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { ForwardLog } from './forward-log.ts';
import { endpointLabel } from './label.ts';
import type { Forward } from './udp-options.ts';

export interface UdpForwardContext {
  readonly host: Host;
  readonly log: Log;
  readonly associations: Associations;
  readonly idleMs: number;
  readonly requestMs: number;
}

/** Where a header says that it is of a fragment (RFC 1928 §7). */
const FRAGMENT = 2;
/** Datagrams of one sender that wait for its association. */
const WAITING_MAX = 64;
/** The target was refused, or no node answered: nobody is asked again before. */
const REFUSED_MS = 1_000;
/** A burst waits there while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

/** One sender here, and its association: being opened at first. */
interface Flow {
  readonly sender: Endpoint;
  readonly waiting: Buffer[];
  readonly opening: AbortController;
  association: Association | undefined;
}

/**
 * A UDP port here that leads to one target: each sender has an association of its own, which ends
 * when nothing passed for a while.
 */
export class UdpForward {
  readonly forward: Forward;
  readonly #context: UdpForwardContext;
  readonly #log: ForwardLog;
  readonly #header: Buffer;
  readonly #flows = new Map<string, Flow>();
  #socket: DatagramSocket | undefined;
  #cancelIdle: Cancel | undefined;
  #refusedUntil = -Infinity;

  constructor(context: UdpForwardContext, forward: Forward) {
    this.forward = forward;
    this.#context = context;
    this.#log = new ForwardLog(context.log, forward);
    const { host, port } = forward.target;
    this.#header = encodeSocksDatagram(host, port, Buffer.alloc(0));
  }

  /** Senders that have an association, or wait for one. */
  get flows(): number {
    return this.#flows.size;
  }

  /** Rejects with a ClientError when the port cannot be had. */
  async listen(): Promise<Endpoint> {
    const { listen } = this.forward;
    try {
      const options = { ...listen, receiveBufferBytes: RECEIVE_BUFFER_BYTES };
      this.#socket = await DatagramSocket.open(options, {
        datagram: (bytes, from) => this.#handle(bytes, from),
        unsent: () => this.#refuse('unsent'),
      });
      return this.#socket.endpoint;
    } catch (error) {
      const where = `UDP ${endpointLabel(listen)}`;
      const message = `cannot listen on ${where}: is it taken? Check \`forwards\` and --forward`;
      throw new ClientError('listen', message, { cause: error });
    }
  }

  /** Who has no connection cannot leave. */
  drain(): Promise<void> {
    return this.stop();
  }

  /** Takes nothing any more, and ends what is open. */
  async stop(): Promise<void> {
    this.#socket?.close();
    this.#cancelIdle?.();
    await Promise.all([...this.#flows].map(([key, flow]) => this.#end(key, flow)));
  }

  #handle(data: Buffer, from: Endpoint): void {
    const key = `${from.address} ${from.port}`;
    const flow = this.#flows.get(key) ?? this.#begin(key, from);
    if (!flow) return this.#refuse('target');
    const bytes = Buffer.allocUnsafe(this.#header.length + data.length);
    bytes.set(this.#header);
    bytes.set(data, this.#header.length);
    if (flow.association) return flow.association.send(bytes);
    flow.waiting.push(bytes);
    if (flow.waiting.length <= WAITING_MAX) return;
    flow.waiting.shift();
    this.#refuse('waiting');
  }

  #begin(key: string, sender: Endpoint): Flow | undefined {
    if (this.#context.host.now() < this.#refusedUntil) return undefined;
    const flow: Flow = {
      sender: { address: sender.address, port: sender.port },
      waiting: [],
      opening: new AbortController(),
      association: undefined,
    };
    this.#flows.set(key, flow);
    void this.#open(key, flow);
    return flow;
  }

  async #open(key: string, flow: Flow): Promise<void> {
    const { host, associations, requestMs } = this.#context;
    const cancel = host.after(requestMs, () => {
      flow.opening.abort(new ClientError('timeout', 'no answer within the time of a request'));
    });
    const request = { kind: 'associate with', ...this.forward.target } as const;
    try {
      const opened = await associations.open(request, flow.opening.signal, {
        payload: (bytes) => this.#deliver(bytes, flow),
        over: () => void this.#flows.delete(key),
      });
      if (opened instanceof Association) this.#opened(flow, opened);
      else if (opened === 'excess') this.#drop(key, flow);
      else this.#refused(key, flow, opened.code);
    } catch (error) {
      const { code, message } = failureOf(error);
      if (code === 'stopped') this.#drop(key, flow);
      else this.#refused(key, flow, message);
    } finally {
      cancel();
    }
  }

  #opened(flow: Flow, association: Association): void {
    if (flow.opening.signal.aborted) {
      void this.#context.associations.end(association);
      return;
    }
    this.#log.granted();
    flow.association = association;
    for (const bytes of flow.waiting.splice(0)) association.send(bytes);
    this.#armIdle();
  }

  #refused(key: string, flow: Flow, why: number | string): void {
    this.#drop(key, flow);
    this.#refusedUntil = this.#context.host.now() + REFUSED_MS;
    this.#log.refused(why);
  }

  #drop(key: string, flow: Flow): void {
    if (this.#flows.get(key) === flow) this.#flows.delete(key);
    this.#context.associations.counters.refuse('target', flow.waiting.length);
  }

  #deliver(payload: Uint8Array, { sender }: Flow): void {
    const headerBytes = socksHeaderBytes(payload);
    const whole = typeof headerBytes === 'number' && payload[FRAGMENT] === 0;
    if (whole) this.#socket?.send(payload.subarray(headerBytes), sender);
    else this.#refuse('no header');
  }

  async #end(key: string, flow: Flow): Promise<void> {
    this.#flows.delete(key);
    flow.opening.abort(new ClientError('stopped', 'the forward is over'));
    if (flow.association) await this.#context.associations.end(flow.association);
  }

  #armIdle(): void {
    if (this.#cancelIdle) return;
    const { host, idleMs } = this.#context;
    let dueAt = Infinity;
    for (const { association } of this.#flows.values()) {
      if (association) dueAt = Math.min(dueAt, association.movedAt + idleMs);
    }
    if (dueAt === Infinity) return;
    this.#cancelIdle = host.after(Math.max(0, dueAt - host.now()), () => {
      this.#cancelIdle = undefined;
      const idleSince = host.now() - idleMs;
      for (const [key, flow] of [...this.#flows]) {
        if (flow.association && flow.association.movedAt <= idleSince) void this.#end(key, flow);
      }
      this.#armIdle();
    });
  }

  #refuse(reason: 'target' | 'waiting' | 'unsent' | 'no header'): void {
    this.#context.associations.counters.refuse(reason);
  }
}
