export type { Cancel, Host, LinkKey, Port, PortHandlers, PortOptions } from './host.ts';
export type {
  Channel,
  Endpoint,
  LinkEnd,
  LinkInput,
  Machine,
  Output,
  StrangerEnd,
} from './machine.ts';
export { Agenda } from './agenda.ts';
export type { Appointment } from './agenda.ts';
export { readCount, writeCount } from './count.ts';
export { Driver } from './driver.ts';
export type { DriverHandlers } from './driver.ts';
export type { Log } from './log.ts';
export type { MetricFamily, MetricValue } from './metric.ts';
export { CarriedTunnel } from './carried-tunnel.ts';
export { Carrier } from './carrier.ts';
export { CHUNK_HEADER_BYTES, ChunkKind, TUNNEL_MAX } from './chunks.ts';
export type { ChunkKindName } from './chunks.ts';
export type { CarrierHandlers, CarrierLoss } from './carrier.ts';
export { DatagramSocket } from './datagram-socket.ts';
export type { DatagramHandlers, DatagramSocketOptions } from './datagram-socket.ts';
export { FRAME_BYTES_MAX, FrameStream } from './frame-stream.ts';
export type { FrameHandlers } from './frame-stream.ts';
export { watchLeaving } from './leaving.ts';
export { contains, formatAddress, parseAddress, parseNetwork } from './network.ts';
export type { Network } from './network.ts';
export { Pulse } from './pulse.ts';
export type { Resolve } from './resolve.ts';
export { REPLAY_WINDOW_PACKETS, ReplayWindow } from './replay-window.ts';
export type { ReplayVerdict } from './replay-window.ts';
export { openTunnel } from './tunnel.ts';
export type { Tunnel, TunnelEnd, TunnelOptions } from './tunnel.ts';
