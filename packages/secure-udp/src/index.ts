export { isHello } from './take.ts';
export { detectRecord } from './record-detector.ts';
export type { Detected } from './record-detector.ts';
export { DEFAULT_SUITE, SUITES } from './suite.ts';
export type { SuiteName } from './suite.ts';
export { AssociationKeys, EXPORTER_BYTES } from './key-schedule.ts';
export {
  decodeAssociationRecord,
  drawAssociation,
  encodeAssociationRecord,
} from './association-record.ts';
export type { AssociationRecord, ReplayPolicy } from './association-record.ts';
export { NodeAssociations } from './node-associations.ts';
export type { NodeAssociationsOptions } from './node-associations.ts';
export type { NodeEvent } from './node-association.ts';
export type { NodeCounters, NodeDropReason, NodeUnsentReason } from './node-counters.ts';
export type { EndReason } from './content.ts';
export type { Outgoing } from './outbox.ts';
export { ClientAssociation } from './client-association.ts';
export type { ClientAssociationOptions, SendOutcome } from './client-association.ts';
export type { ClientEvent, MoveReason } from './client-event.ts';
export type { ClientCounters, ClientDropReason } from './client-counters.ts';
export {
  decodeAdoption,
  decodeControl,
  encodeControlPayload,
  encodeEnded,
  encodeGrant,
  encodeUdpRequest,
  UdpCommand,
} from './control.ts';
export type { ControlMessage, Grant, UdpRequest } from './control.ts';
export { decodeSocksDatagram, encodeSocksDatagram, socksHeaderBytes } from './socks-datagram.ts';
export type { SocksDatagram, SocksDatagramFault } from './socks-datagram.ts';
