import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { ByteClient } from './byte-client.ts';
import type { Pki } from './pki.ts';
import { CONVENTIONAL, NONE, OURS, requestBytes, SocksClient } from './socks-client.ts';

export const LOOPBACK = '127.0.0.1';
export const BIND = 2;

export interface Reply {
  readonly code: number;
  /** As text, IPv4 only. */
  readonly address: string;
  readonly port: number;
}

/** A client that asks a node for one BIND, and how it speaks then. */
export interface Binding {
  ask(peer: string, port?: number): Promise<Reply>;
  second(): Promise<Reply>;
  say(text: string): void;
  hear(sizeBytes: number): Promise<string>;
  /** No more is sent. */
  end(): void;
  /** Nothing of it is left. */
  leave(): void;
  /** The same in the middle, as who is cut off. */
  breakOff(): void;
}

export type Way = (t: Test, pki: Pki, port: number) => Promise<Binding>;

/** Every way to a node: any program over TLS, our client's tunnels, and without TLS. */
export const WAYS: Readonly<Record<string, Way>> = {
  conventional: async (t, pki, port) => {
    const client = await SocksClient.connect(pki, port, CONVENTIONAL);
    return alone(t, client);
  },
  carried: async (t, pki, port) => carried(t, await SocksClient.connect(pki, port, OURS)),
  plain: async (t, _pki, port) => {
    const socket = connect({ host: LOOPBACK, port, allowHalfOpen: true });
    return alone(t, new SocksClient(new ByteClient(socket)));
  },
};

/** Somebody who connects from an address of his own. */
export async function peer(t: Test, port: number, from = LOOPBACK): Promise<Socket> {
  const socket = connect({ host: LOOPBACK, port, localAddress: from, allowHalfOpen: true });
  t.teardown(() => void socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

export async function heard(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return String(Buffer.concat(chunks));
}

export function decodeReply(bytes: Buffer): Reply {
  const address = bytes.subarray(4, -2).join('.');
  return { code: bytes[1] ?? -1, address, port: bytes.readUInt16BE(bytes.length - 2) };
}

async function alone(t: Test, client: SocksClient<ByteClient>): Promise<Binding> {
  t.teardown(() => client.end());
  await client.greet(NONE);
  const reply = async () => decodeReply(await client.tls.read(10));
  return {
    ask: (to, port = 21) => {
      client.tls.write(requestBytes(BIND, to, port));
      return reply();
    },
    second: reply,
    say: (text) => client.tls.write(Buffer.from(text)),
    hear: async (sizeBytes) => String(await client.tls.read(sizeBytes)),
    end: () => void client.tls.socket.end(),
    leave: () => client.end(),
    breakOff: () => client.tls.socket.resetAndDestroy(),
  };
}

async function carried(t: Test, client: SocksClient): Promise<Binding> {
  const tunnel = 1;
  t.teardown(() => client.end());
  await client.greet(NONE);
  const next = async (wanted: string) => {
    const chunk = await client.nextChunk();
    if (chunk.kind !== wanted) throw new Error(`${chunk.kind} in place of ${wanted}`);
    return chunk.payload;
  };
  const reply = async () => decodeReply(await next('reply'));
  return {
    ask: (to, port = 21) => {
      client.sendChunk('request', tunnel, requestBytes(BIND, to, port));
      return reply();
    },
    second: reply,
    say: (text) => client.chunk(text, tunnel),
    hear: async (sizeBytes) => {
      let bytes = Buffer.alloc(0);
      while (bytes.length < sizeBytes) bytes = Buffer.concat([bytes, await next('data')]);
      return String(bytes);
    },
    end: () => client.chunk('', tunnel),
    leave: () => client.sendChunk('reset', tunnel),
    breakOff: () => client.sendChunk('reset', tunnel),
  };
}
