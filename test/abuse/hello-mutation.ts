import type { Random } from '@argyle/simulator';
import {
  counted,
  message,
  messageOf,
  records,
  shapeOf,
  type Extension,
  type HelloShape,
} from './hello-shape.ts';

/** What a stranger may send in place of a ClientHello: its first flight, by kind. */
export interface Mutant {
  readonly kind: string;
  readonly bytes: Buffer;
}

type Mutation = (flight: Buffer, random: Random) => Buffer;

/** RFC 8446 §4.2, RFC 6066, RFC 7301. */
const SERVER_NAME = 0;
const ALPN = 16;
const PADDING = 21;
const PRE_SHARED_KEY = 41;
const SUPPORTED_VERSIONS = 43;
const KEY_SHARE = 51;
const KNOWN = [SERVER_NAME, 5, 10, 11, 13, ALPN, PADDING, 22, 23, 35, PRE_SHARED_KEY];
const PARSED = [SERVER_NAME, ALPN, PRE_SHARED_KEY, SUPPORTED_VERSIONS, KEY_SHARE, 45, 13];

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'as it was': (flight) => flight,
  'random bytes': (_flight, random) => bytes(random, 1 + random.below(600)),
  'random bytes in a record': (_flight, random) =>
    records(bytes(random, 1 + random.below(2_000)), 1 + random.below(2_000)),
  'random bytes in a hello': (_flight, random) =>
    records(Buffer.concat([Buffer.of(1), counted(bytes(random, random.below(600)), 3)])),
  'flipped bits': (flight, random) => flipped(flight, random, 1 + random.below(8)),
  'flipped bits after the header': (flight, random) =>
    Buffer.concat([flight.subarray(0, 9), flipped(flight.subarray(9), random, 3)]),
  'cut off': (flight, random) => flight.subarray(0, random.below(flight.length)),
  'cut off, with a right record': (flight, random) =>
    records(messageOf(flight).subarray(0, 1 + random.below(flight.length - 6))),
  'cut off, with right lengths': (flight, random) => {
    const body = messageOf(flight).subarray(4);
    return helloOf(body.subarray(0, random.below(body.length)));
  },
  'longer than it says': (flight, random) =>
    records(Buffer.concat([messageOf(flight), bytes(random, 1 + random.below(50))])),
  'a body longer than its fields': (flight, random) =>
    helloOf(Buffer.concat([messageOf(flight).subarray(4), bytes(random, 1 + random.below(9))])),
  'any length': (flight, random) => {
    const changed = Buffer.from(flight);
    const at = 3 + random.below(flight.length - 4);
    changed.writeUInt16BE(random.pick([0, 1, 0xff, 0xffff, random.below(0x1_0000)]), at);
    return changed;
  },
  'another message': (flight, random) =>
    records(message(shapeOf(flight), random.pick([0, 2, 4, 11, 20, 24, 255]))),
  'another record type or version': (flight, random) => {
    const changed = Buffer.from(flight);
    changed[random.below(3)] = random.below(256);
    return changed;
  },
  'small records': (flight, random) => records(messageOf(flight), 1 + random.below(64)),
  'an empty record': (flight) => Buffer.concat([Buffer.of(0x16, 3, 1, 0, 0), flight]),
  'an alert before it': (flight) => Buffer.concat([Buffer.of(0x15, 3, 1, 0, 2, 1, 0), flight]),
  twice: (flight) => Buffer.concat([flight, flight]),
  'with bytes after it': (flight, random) =>
    Buffer.concat([flight, bytes(random, 1 + random.below(20_000))]),
  'a long one': (flight, random) => padded(flight, 12_000 + random.below(12_000)),
  'any version': shaped((_shape, random) => ({ version: random.below(0x1_0000) })),
  'any session id': shaped((_shape, random) => ({ sessionId: bytes(random, random.below(256)) })),
  'any ciphers': shaped((_shape, random) => ({ ciphers: bytes(random, random.below(300)) })),
  'any compression': shaped((_shape, random) => {
    return { compressions: bytes(random, random.below(256)) };
  }),
  'no extensions': shaped(() => ({ extensions: [] })),
  'an extension less': extended((list, random) => {
    return list.toSpliced(random.below(list.length), 1);
  }),
  'an extension twice': extended((list, random) => [...list, random.pick(list)]),
  'extensions in another order': extended((list, random) => {
    return list.toSorted(() => random.below(3) - 1);
  }),
  'another type of extension': extended((list, random) => {
    const type = random.chance(0.7) ? random.pick(KNOWN) : random.below(0x1_0000);
    return list.with(random.below(list.length), { type, body: random.pick(list).body });
  }),
  'random bytes in an extension that is read': extended((list, random) => {
    const type = random.pick(PARSED);
    return replaced(list, { type, body: bytes(random, random.below(120)) });
  }),
  'a list of random bytes in an extension': extended((list, random) => {
    const type = random.pick(PARSED);
    const lengthBytes = type === SUPPORTED_VERSIONS ? 1 : 2;
    return replaced(list, { type, body: counted(bytes(random, random.below(90)), lengthBytes) });
  }),
  'unknown pre-shared keys': extended((list, random) => {
    return [...without(list, PRE_SHARED_KEY), preSharedKeys(random)];
  }),
  'many names': extended((list, random) => {
    const name = () => Buffer.concat([Buffer.of(random.below(2)), counted(Buffer.alloc(9), 2)]);
    const body = counted(Buffer.concat(Array.from({ length: 200 }, name)), 2);
    return replaced(list, { type: SERVER_NAME, body });
  }),
  'any versions': extended((list, random) => {
    const body = counted(bytes(random, 2 * random.below(120)), 1);
    return replaced(list, { type: SUPPORTED_VERSIONS, body });
  }),
};

export const MUTATION_KINDS = Object.keys(MUTATIONS);

/** Of one of the real flights, each of which is one record. */
export function mutant(flights: readonly Buffer[], random: Random): Mutant {
  const kind = random.pick(MUTATION_KINDS);
  const mutate = MUTATIONS[kind];
  if (!mutate) throw new RangeError(kind);
  return { kind, bytes: mutate(random.pick(flights), random) };
}

function shaped(change: (shape: HelloShape, random: Random) => Partial<HelloShape>): Mutation {
  return (flight, random) => {
    const shape = shapeOf(flight);
    return records(message({ ...shape, ...change(shape, random) }));
  };
}

function extended(
  change: (list: readonly Extension[], random: Random) => readonly Extension[],
): Mutation {
  return shaped(({ extensions }, random) => ({ extensions: change(extensions, random) }));
}

function without(list: readonly Extension[], unwanted: number): readonly Extension[] {
  return list.filter(({ type }) => type !== unwanted);
}

/** `pre_shared_key` has to be the last. */
function replaced(list: readonly Extension[], extension: Extension): readonly Extension[] {
  const rest = without(list, extension.type);
  return extension.type === PRE_SHARED_KEY ? [...rest, extension] : [extension, ...rest];
}

function preSharedKeys(random: Random): Extension {
  const count = 1 + random.below(12);
  const of = (make: () => Buffer) => counted(Buffer.concat(Array.from({ length: count }, make)), 2);
  const sizes = [0, 1, 31, 32, 32, 32, 33, 200];
  const identity = () =>
    Buffer.concat([counted(bytes(random, random.pick(sizes)), 2), bytes(random, 4)]);
  const binder = () => counted(bytes(random, random.pick([32, 48])), 1);
  return { type: PRE_SHARED_KEY, body: Buffer.concat([of(identity), of(binder)]) };
}

function padded(flight: Buffer, sizeBytes: number): Buffer {
  const shape = shapeOf(flight);
  const padding = { type: PADDING, body: Buffer.alloc(sizeBytes) };
  const extensions = [padding, ...without(shape.extensions, PADDING)];
  return records(message({ ...shape, extensions }));
}

function helloOf(body: Uint8Array): Buffer {
  return records(Buffer.concat([Buffer.of(1), counted(body, 3)]));
}

function flipped(source: Buffer, random: Random, count: number): Buffer {
  const changed = Buffer.from(source);
  for (let flip = 0; flip < count; flip += 1) {
    const at = random.below(changed.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
  }
  return changed;
}

function bytes(random: Random, sizeBytes: number): Buffer {
  return Buffer.from(random.bytes(sizeBytes));
}
