import type { Channel, Endpoint, LinkInput } from './machine.ts';

/** Everything that Argyle may ask of the machine it runs on, in two kinds: system and simulator. */
export interface Host {
  /** Monotonic milliseconds; the origin means nothing. */
  now(): number;
  /**
   * Wall time in milliseconds since 1970 is `now() + wallOffset()`. It moves when the clock steps.
   */
  wallOffset(): number;
  /** Bytes from the kernel's random source (or the seed). */
  random(sizeBytes: number): Uint8Array;
  /** Calls `wake` once after `delayMs`, maybe a millisecond early; the answer cancels it. */
  after(delayMs: number, wake: () => void): Cancel;
  /** The datagram sockets of a group's member. Nothing is received before `opened`. */
  openPort(options: PortOptions, handlers: PortHandlers): Port;
}

export type Cancel = () => void;

export interface PortOptions {
  /**
   * The group's address and the port that all members on a host share; undefined where nothing is
   * to be sent or heard by multicast.
   */
  readonly group: Endpoint | undefined;
  /** The interface's address: multicast leaves and is joined there. */
  readonly interfaceAddress: string;
  /** The member's own port: source of all it sends, unicast in, and TCP for links. 0 picks one. */
  readonly ownPort: number;
  /**
   * Links authenticate with them (TLS 1.3, external PSK with (EC)DHE): the first opens, all are
   * taken. Asked for each link anew, because keys change.
   */
  readonly linkKeys: () => readonly LinkKey[];
  /** Hops that a multicast datagram may travel. */
  readonly multicastTtl: number;
}

/** A pre-shared key of links. */
export interface LinkKey {
  /** Told in clear (RFC 8446 §4.2.11). */
  readonly identity: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export interface PortHandlers {
  opened(own: Endpoint): void;
  /** The port could not be opened, or broke: nothing more comes. */
  failed(error: Error): void;
  /** A datagram could not be sent. Protocols repair the loss; operators want to know. */
  unsent(error: Error): void;
  datagram(bytes: Uint8Array, from: Endpoint, channel: Channel): void;
  link(input: LinkInput): void;
}

export interface Port {
  /** Of datagrams that wait in this process, because the system's own buffer is full. */
  readonly waitingBytes: number;
  multicast(bytes: Uint8Array): void;
  /** Leaves the group and joins it at once, which tells the switches on the way again. */
  rejoin(): void;
  unicast(bytes: Uint8Array, to: Endpoint): void;
  openLink(link: number, to: Endpoint): void;
  writeLink(link: number, bytes: Uint8Array): void;
  closeLink(link: number): void;
  /** Frees the sockets; `closed` is called when the port numbers are free. */
  close(closed?: () => void): void;
}
