import { counted } from './hello-shape.ts';

/** RFC 1928 and RFC 1929: what an application says, byte for byte. */
const VERSION = 5;
const CONNECT = 1;
export const METHOD_NONE = 0;
export const METHOD_PASSWORD = 2;

export function greeting(...methods: readonly number[]): Buffer {
  return Buffer.of(VERSION, methods.length, ...methods);
}

export function login(user: string, password: string): Buffer {
  const [name, secret] = [counted(Buffer.from(user), 1), counted(Buffer.from(password), 1)];
  return Buffer.concat([Buffer.of(1), name, secret]);
}

/** To 127.0.0.1, by address or by name. */
export function request(port: number, by: 'ipv4' | 'ipv6' | 'name' = 'ipv4'): Buffer {
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
  const address = {
    ipv4: Buffer.of(1, 127, 0, 0, 1),
    ipv6: Buffer.of(4, ...mapped),
    name: Buffer.concat([Buffer.of(3), counted(Buffer.from('localhost'), 1)]),
  }[by];
  return Buffer.concat([
    Buffer.of(VERSION, CONNECT, 0),
    address,
    Buffer.of(port >> 8, port & 0xff),
  ]);
}

export const REPLY_BYTES = 10;
/** RFC 1928 §6. */
export const SUCCEEDED = 0;
