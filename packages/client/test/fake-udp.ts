import {
  DatagramSocket,
  FrameStream,
  type Cancel,
  type CarriedTunnel,
  type Endpoint,
} from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import {
  AssociationKeys,
  DEFAULT_SUITE,
  NodeAssociations,
  UdpCommand,
  decodeAdoption,
  decodeControl,
  drawAssociation,
  encodeControlPayload,
  encodeEnded,
  encodeGrant,
  type AssociationRecord,
  type EndReason,
} from '@argyle/secure-udp';

/** What the nodes of a cluster know of associations. */
export type FakeRecords = Map<string, AssociationRecord>;

/** Exports keying material of the connection that a request came by. */
export type Exporter = () => Uint8Array;

interface FakeControl {
  readonly association: string;
  readonly stream: FrameStream;
  readonly tunnel: CarriedTunnel;
}

const GRACE_MS = 2_000;
const GENERAL_FAILURE = 1;
const NOT_ALLOWED = 2;

/**
 * The UDP half of a fake node: the real machine on a real socket, and a control connection that
 * does what nodes do. Payloads come back as they are.
 */
export class FakeUdp {
  /** Payloads, by which way they came. */
  readonly overUdp: string[] = [];
  readonly overTls: string[] = [];
  readonly controls = new Set<FakeControl>();
  /** Adoptions that were granted. */
  adoptions = 0;
  /** Associations that their clients ended on the control connection. */
  readonly endedByClient: string[] = [];
  /** A reply in place of a success. */
  refusal: number | undefined;
  /** Nothing that comes is handled, and nothing is sent. */
  silent = false;
  /** Told where each datagram came from. */
  whenReceived: (from: Endpoint) => void = () => undefined;
  graceMs = GRACE_MS;
  readonly #host = new SystemHost();
  readonly #records: FakeRecords;
  readonly #at: { readonly address: string; readonly port: number };
  /** The way of the newest payload of each association. */
  readonly #ways = new Map<string, 'udp' | 'tls'>();
  #machine: NodeAssociations;
  #socket: DatagramSocket | undefined;
  #cancel: Cancel | undefined;
  #draining = false;

  constructor(records: FakeRecords, at: { readonly address: string; readonly port: number }) {
    this.#records = records;
    this.#at = at;
    this.#machine = this.#create();
  }

  async start(): Promise<void> {
    this.#machine = this.#create();
    this.#draining = false;
    this.#socket = await DatagramSocket.open(this.#at, {
      datagram: (bytes, from) => {
        this.whenReceived(from);
        if (!this.silent) this.#run((now) => this.#machine.handleDatagram(bytes, from, now));
      },
    });
  }

  /** As a kill does: nobody listens any more, and every epoch is gone. */
  kill(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#cancel?.();
  }

  /** To the client, from whatever address a target has. */
  sendRaw(bytes: Uint8Array, to: Endpoint): void {
    this.#socket?.send(bytes, to);
  }

  /** A payload of a target's. */
  push(association: string, payload: Uint8Array): void {
    if (this.#ways.get(association) === 'tls') {
      for (const control of this.controls) {
        if (control.association === association) {
          control.stream.sendFrame(encodeControlPayload(payload));
        }
      }
    } else this.#run((now) => this.#machine.handlePayload(association, payload, now));
  }

  /** As SIGTERM does. */
  drain(): void {
    this.#draining = true;
    for (const { stream } of this.controls) stream.sendEnd();
    this.#run((now) => this.#machine.drain(now));
  }

  /** Deletes an association, as a removed user's. */
  delete(association: string, reason: EndReason = 'deleted'): void {
    this.#records.delete(association);
    for (const control of this.controls) {
      if (control.association === association) control.stream.sendFrame(encodeEnded(reason));
    }
    this.#run((now) => this.#machine.handleDeleted(association, now));
  }

  /** False for what is no request of UDP. */
  answer(tunnel: CarriedTunnel, request: Buffer, exported: Exporter): boolean {
    const command = request[1];
    if (command === UdpCommand.adopt) this.#adopt(tunnel, request, exported);
    else if (command === UdpCommand.associate || command === UdpCommand.associateWith) {
      this.#grant(tunnel);
    } else return false;
    return true;
  }

  #grant(tunnel: CarriedTunnel): void {
    if (this.refusal !== undefined) {
      tunnel.answer(reply(this.refusal));
      return;
    }
    const { id, secret } = drawAssociation((sizeBytes) => this.#host.random(sizeBytes));
    const suite = DEFAULT_SUITE;
    const { graceMs } = this;
    this.#records.set(id, {
      secret,
      suite,
      replay: 'drop',
      lineage: Buffer.alloc(16),
      user: 'demo',
      clientPort: 0,
      outgoingPort: 0,
      claims: 0,
      graceMs,
      owner: '',
      target: undefined,
    });
    const stream = this.#join(tunnel, id);
    stream.sendFrame(encodeGrant({ id, secret, suite, graceMs }));
  }

  #adopt(tunnel: CarriedTunnel, request: Buffer, exported: Exporter): void {
    const adoption = decodeAdoption(request);
    const id = adoption?.association ?? '';
    const record = this.#records.get(id);
    if (this.#draining) tunnel.abort();
    else if (!adoption || !record) tunnel.answer(reply(NOT_ALLOWED));
    else {
      const random = (sizeBytes: number) => this.#host.random(sizeBytes);
      const keys = new AssociationKeys({ id, secret: record.secret, suite: record.suite, random });
      if (!keys.verifiesAdoption(exported(), adoption.proof)) tunnel.answer(reply(NOT_ALLOWED));
      else if (this.refusal !== undefined) tunnel.answer(reply(GENERAL_FAILURE));
      else {
        this.adoptions += 1;
        this.#join(tunnel, id);
      }
    }
  }

  #join(tunnel: CarriedTunnel, association: string): FrameStream {
    tunnel.answer(reply(0));
    const stream = new FrameStream({
      frame: (bytes) => {
        const message = decodeControl(bytes);
        if (message?.kind !== 'payload') return;
        this.overTls.push(text(message.payload));
        this.#ways.set(association, 'tls');
        this.push(association, Buffer.from(message.payload));
      },
      ended: () => {
        if (!this.#draining) {
          this.endedByClient.push(association);
          this.#records.delete(association);
          this.#run((now) => this.#machine.handleDeleted(association, now));
        }
        stream.sendEnd();
      },
    });
    const control = { association, stream, tunnel };
    this.controls.add(control);
    stream.once('close', () => this.controls.delete(control));
    tunnel.join(stream, { idleMs: Infinity });
    return stream;
  }

  #create(): NodeAssociations {
    return new NodeAssociations({
      name: String(this.#at.port),
      lookup: (id) => this.#records.get(id),
      random: (sizeBytes) => this.#host.random(sizeBytes),
      datagramBytes: 1_452,
    });
  }

  #run(input: (now: number) => void): void {
    if (!this.#socket) return;
    input(this.#host.now());
    const machine = this.#machine;
    for (let event = machine.pollEvent(); event; event = machine.pollEvent()) {
      if (event.kind === 'payload') {
        this.overUdp.push(text(event.payload));
        this.#ways.set(event.association, 'udp');
        machine.handlePayload(event.association, event.payload, this.#host.now());
      } else if (event.kind === 'ended') this.#records.delete(event.association);
    }
    for (let out = machine.pollOutput(); out; out = machine.pollOutput()) {
      if (!this.silent) this.#socket.send(out.bytes, out.to);
    }
    this.#cancel?.();
    if (machine.deadline === Infinity) return;
    const delayMs = Math.max(0, machine.deadline - this.#host.now());
    this.#cancel = this.#host.after(delayMs, () => {
      this.#run((now) => {
        if (!this.silent && machine.deadline <= now) machine.handleDeadline(now);
      });
    });
  }
}

function reply(code: number): Buffer {
  return Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 9]);
}

/** Without the header of IPv4 or of a name. */
function text(payload: Uint8Array): string {
  const headerBytes = payload[3] === 3 ? 7 + (payload[4] ?? 0) : 10;
  return Buffer.from(payload.subarray(headerBytes)).toString();
}
