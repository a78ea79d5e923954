/**
 * A machine is a protocol without I/O: datagrams, link bytes and time go in; datagrams, link bytes,
 * events and one deadline come out. It reads no clock, draws no random numbers of its own, holds no
 * promise and no timer, so the same machine runs on the system and in the simulator.
 */

/** A UDP or TCP address. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Which socket a datagram came in by: the group's shared port or the member's own. */
export type Channel = 'group' | 'own';

/**
 * A link is a reliable, ordered byte stream to another machine. The machine numbers the links that
 * it opens 1, 2, 3…; the driver numbers those that it accepts -1, -2, -3…
 */
export type LinkInput =
  | { readonly kind: 'accepted'; readonly link: number; readonly from: Endpoint }
  | { readonly kind: 'opened'; readonly link: number }
  | { readonly kind: 'bytes'; readonly link: number; readonly bytes: Uint8Array }
  /** Nothing that was written waits in this process any more: write on. */
  | { readonly kind: 'drained'; readonly link: number }
  /** Somebody connected and did not become a link. */
  | { readonly kind: 'stranger'; readonly from: Endpoint; readonly reason: StrangerEnd }
  /** The last input of a link. `refused`: nobody listens there, which proves a process dead. */
  | { readonly kind: 'closed'; readonly link: number; readonly reason: LinkEnd };

export type LinkEnd = 'refused' | 'unreachable' | 'reset' | 'ended' | 'authentication';

/**
 * `handshake`: it failed, or the other side left; `timeout`: it took too long; `crowded`: too many
 * others shook hands at the time.
 */
export type StrangerEnd = 'handshake' | 'timeout' | 'crowded';

/** What a machine asks of its driver. Nobody changes `bytes` afterwards; several may share them. */
export type Output =
  | { readonly kind: 'multicast'; readonly bytes: Uint8Array }
  /** Join the group anew: switches on the way may have forgotten that this member is in it. */
  | { readonly kind: 'rejoin' }
  | { readonly kind: 'unicast'; readonly bytes: Uint8Array; readonly to: Endpoint }
  | { readonly kind: 'link-open'; readonly link: number; readonly to: Endpoint }
  | { readonly kind: 'link-write'; readonly link: number; readonly bytes: Uint8Array }
  | { readonly kind: 'link-close'; readonly link: number };

/**
 * Inputs are `handle…`, outputs are `poll…`; getters change nothing. After any input or command the
 * driver drains `pollOutput` and `pollEvent` until both are empty, then arms one timer for
 * `deadline`. `now` is monotonic milliseconds and never goes back.
 */
export interface Machine<Event> {
  /** When `handleDeadline` wants to be called next; Infinity when there is nothing to wait for. */
  readonly deadline: number;
  /**
   * Wall time is `now + offsetMs`. Called before any other input, and whenever the offset moves.
   */
  handleClock(offsetMs: number, now: number): void;
  /** The bytes belong to the caller: copy what is kept. */
  handleDatagram(bytes: Uint8Array, from: Endpoint, channel: Channel, now: number): void;
  handleLink(input: LinkInput, now: number): void;
  handleDeadline(now: number): void;
  /**
   * Before outputs are polled: bytes of datagrams that the system has not taken yet, because its
   * own line is slower than the machine.
   */
  handleBacklog?(waitingBytes: number, now: number): void;
  pollOutput(now: number): Output | undefined;
  pollEvent(now: number): Event | undefined;
}
