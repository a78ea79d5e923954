import { EventEmitter } from 'node:events';
import { formatAddress, parseAddress } from '@argyle/host';
import Parser from 'socksv5/lib/server.parser.js';
import type { ReplyName } from './socks-reply.ts';

/** RFC 1928 §4. */
const COMMAND_CONNECT = 1;

export interface SocksRequest {
  readonly command: Parser.Request['cmd'];
  readonly destination: string;
  readonly port: number;
}

export function socksRequest({ cmd, dstAddr, dstPort }: Parser.Request): SocksRequest {
  return { command: cmd, destination: dstAddr, port: dstPort };
}

/** What the parser asks of a stream. */
class Bytes extends EventEmitter {
  rest = 0;
  pause(): void {}
  resume(): void {}
  unshift(bytes: Uint8Array): void {
    this.rest += bytes.length;
  }
}

/** One whole request (RFC 1928 §4), or the reply that says what is wrong with it. */
export function parseRequest(bytes: Uint8Array): SocksRequest | ReplyName {
  const stream = new Bytes();
  const parser = new Parser(stream);
  parser.authed = true;
  let parsed: SocksRequest | ReplyName = 'failed';
  parser.once('request', (request) => (parsed = socksRequest(request)));
  parser.once('error', ({ code }) => {
    if (code === 'command') parsed = 'command-not-supported';
    if (code === 'address-type') parsed = 'address-type-not-supported';
  });
  stream.emit('data', bytes);
  parser.stop();
  return stream.rest > 0 ? 'failed' : parsed;
}

/** What a request of another command names as its destination, or the reply that says why not. */
export function parseTarget(
  request: Uint8Array,
): { readonly host: string; readonly port: number } | ReplyName {
  const connect = Buffer.from(request);
  connect[1] = COMMAND_CONNECT;
  const parsed = parseRequest(connect);
  if (typeof parsed === 'string') return parsed;
  const { destination, port } = parsed;
  // Spelt as in the header of a datagram.
  const address = parseAddress(destination);
  return { host: address ? formatAddress(address) : destination, port };
}
