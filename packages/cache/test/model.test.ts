import t from 'tap';
import { storeOf } from '../src/cache.ts';
import { entryBytes } from '../src/entry.ts';
import { type Cache, KEY_BYTES_MAX } from '../src/index.ts';
import { HOUR, hex, newCache, SECOND, T0, version } from './fixture.ts';
import { Model } from './model.ts';
import { Random } from './random.ts';

const CAPACITY = 48 * 1024;
const SEGMENT = 2048;
const OPERATIONS = 100_000;
/** In full ten million operations, which ARGYLE_TEST_SEED and ARGYLE_TEST_SEEDS cut in portions. */
const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const SEED = Number(process.env['ARGYLE_TEST_SEED'] ?? 1);
const SEEDS = Number(process.env['ARGYLE_TEST_SEEDS'] ?? (FULL ? 100 : 3));

/** A cache and its model under one stream of random operations. */
class Trial {
  readonly cache: Cache = newCache({ capacityBytes: CAPACITY, segmentBytes: SEGMENT });
  readonly model = new Model();
  readonly outcomes: Record<string, number> = {};
  readonly #random: Random;
  readonly #keys: Uint8Array[];
  now = T0;
  #order = 1000;

  constructor(seed: number) {
    this.#random = new Random(seed);
    const lengths = [0, 1, 8, 32, 32, 32, 33, 64, 65, 129, KEY_BYTES_MAX];
    this.#keys = Array.from({ length: 260 }, () =>
      this.#random.bytes(lengths[this.#random.below(lengths.length)]!),
    );
  }

  /** A description of what differs, or undefined. */
  step(): string | undefined {
    const random = this.#random;
    const kind = random.below(1000);
    const table = random.below(3);
    const key = this.#keys[random.below(this.#keys.length)]!;
    if (kind < 450) return this.#put(table, key);
    if (kind < 550) return this.#remove(table, key);
    if (kind < 900) return this.#get(table, key);
    if (kind < 998) return this.#pass(random.below(4) === 0 ? random.below(60_000) : 50);
    if (kind < 999) return this.#pass(random.below(3 * HOUR));
    return this.#purge();
  }

  #put(table: number, key: Uint8Array): string | undefined {
    const random = this.#random;
    const value = random.bytes(random.below(20) === 0 ? random.below(2300) : random.below(150));
    const write = {
      table,
      key,
      value,
      expiresAt: this.#expiry(),
      version: this.#version(table, key),
    };
    const before = this.cache.bytes;
    const outcome = this.cache.put(
      table,
      key,
      value,
      write.expiresAt,
      version(write.version),
      this.now,
    );
    this.#count(outcome);
    const needed = entryBytes(key.length, value.length);
    if (outcome === 'oversize') return needed > SEGMENT ? undefined : 'oversize without need';
    if (outcome === 'full') return this.#judgeFull(before, needed);
    const expected = this.model.put(write, this.now);
    return outcome === expected ? undefined : `put: ${outcome}, not ${expected}`;
  }

  #remove(table: number, key: Uint8Array): string | undefined {
    const write = { table, key, expiresAt: this.#expiry(), version: this.#version(table, key) };
    const before = this.cache.bytes;
    const held = this.cache.version(table, key);
    const outcome = this.cache.remove(
      table,
      key,
      write.expiresAt,
      version(write.version),
      this.now,
    );
    this.#count(`remove ${outcome}`);
    if (outcome === 'full') {
      return held ? 'a held entry not removed' : this.#judgeFull(before, entryBytes(key.length, 0));
    }
    const expected = this.model.remove(write, this.now);
    return outcome === expected ? undefined : `remove: ${outcome}, not ${expected}`;
  }

  #judgeFull(bytes: number, needed: number): string | undefined {
    const assured = storeOf(this.cache).assuredBytes(needed);
    return bytes > assured ? undefined : `full at ${bytes} of ${assured}`;
  }

  #get(table: number, key: Uint8Array): string | undefined {
    const hit = this.cache.get(table, key, this.now);
    const value = this.model.value(table, key, this.now);
    if (!hit || !value) return hit || value ? 'one has it, the other not' : undefined;
    const held = this.model.held(table, key)!;
    if (hex(hit.value) !== hex(value)) return 'another value';
    if (hit.expiresAt !== held.expiresAt) return 'another expiry';
    return hex(hit.version) === hex(version(held.version)) ? undefined : 'another version';
  }

  /** Both expire at once, so that the cache never has to when it looks for room. */
  #pass(milliseconds: number): string | undefined {
    this.now += milliseconds;
    this.cache.expire(this.now, Infinity);
    this.model.expire(this.now);
    return this.cache.nextExpiry > this.now ? undefined : 'still something due';
  }

  #purge(): string | undefined {
    const epoch = this.#order - this.#random.below(300);
    this.#count('purge');
    const raised = this.cache.purge(version(epoch));
    return raised === this.model.purge(epoch) ? undefined : 'only one was purged';
  }

  /** Everything, and the digest of a cache made of the model's entries in another order. */
  compare(): string | undefined {
    const { cache, model, now } = this;
    const entries = [...model.entries.values()];
    const tombstones = entries.filter(({ value }) => value === undefined).length;
    if (cache.tombstones !== tombstones) return `${cache.tombstones} tombstones, not ${tombstones}`;
    if (cache.records !== entries.length - tombstones) return 'another number of records';
    const other = newCache({ capacityBytes: 2 ** 20, segmentBytes: 8192, seed: now });
    other.purge(version(model.epoch));
    for (const { table, key, value, ...entry } of this.#random.shuffle(entries)) {
      const held = cache.version(table, key);
      if (!held || hex(held) !== hex(version(entry.version))) return 'another version held';
      if (value) other.put(table, key, value, entry.expiresAt, held, 0);
      else other.remove(table, key, entry.covers * SECOND, held, 0);
    }
    if (hex(other.bucketDigests()) !== hex(cache.bucketDigests())) return 'other bucket digests';
    return hex(other.digest()) === hex(cache.digest()) ? undefined : 'another digest';
  }

  /** Short, long, over already, to the millisecond or to the second. */
  #expiry(): number {
    const random = this.#random;
    const spans = [-3 * SECOND, 2 * SECOND, 20 * SECOND, 200 * SECOND, HOUR, 24 * HOUR];
    const span = spans[random.below(spans.length)]!;
    return this.now + span + random.below(2) * random.below(10 * SECOND);
  }

  /** Mostly newer than all, at times an older one, or the one that is held. */
  #version(table: number, key: Uint8Array): number {
    if (this.#random.below(5) === 0) return this.#order - this.#random.below(400);
    const held = this.model.held(table, key);
    if (held && this.#random.below(40) === 0) return held.version;
    this.#order += 1;
    return this.#order;
  }

  #count(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }
}

t.test(`does what a plain Map would, over ${SEEDS} × ${OPERATIONS} operations`, async (t) => {
  const outcomes: Record<string, number> = {};
  for (let seed = SEED; seed < SEED + SEEDS; seed += 1) {
    const trial = new Trial(seed);
    for (let operation = 0; operation < OPERATIONS; operation += 1) {
      const wrong = trial.step() ?? (operation % 1000 === 0 ? trial.compare() : undefined);
      if (wrong !== undefined) throw new Error(`seed ${seed}, operation ${operation}: ${wrong}`);
    }
    t.equal(trial.compare(), undefined);
    t.ok(storeOf(trial.cache).segments.buffers().length <= CAPACITY / SEGMENT, 'memory is bounded');
    for (const [name, count] of Object.entries(trial.outcomes)) {
      outcomes[name] = (outcomes[name] ?? 0) + count;
    }
  }
  t.comment(JSON.stringify(outcomes));
  for (const name of ['stored', 'same', 'stale', 'purged', 'expired', 'full', 'oversize']) {
    t.ok((outcomes[name] ?? 0) > 100, `${name} was seen`);
  }
});

t.test('makes room by itself: expired records first, then compaction', async (t) => {
  // Nobody calls expire; versions rise, so what is expired but held changes no outcome.
  const random = new Random(7);
  const cache = newCache({ capacityBytes: CAPACITY, segmentBytes: SEGMENT });
  const model = new Model();
  const keys = Array.from({ length: 400 }, () => random.bytes(16));
  for (let operation = 1; operation <= 60_000; operation += 1) {
    const now = T0 + operation * 20;
    const key = keys[random.below(keys.length)]!;
    const value = random.bytes(random.below(60));
    // About 120 records live at a time, a third of the memory.
    const expiresAt = now + 1000 + random.below(5 * SECOND);
    const outcome = cache.put(0, key, value, expiresAt, version(operation), now);
    if (outcome !== 'stored') throw new Error(`operation ${operation}: ${outcome}`);
    model.put({ table: 0, key, value, expiresAt, version: operation }, now);
    const other = keys[random.below(keys.length)]!;
    const hit = cache.get(0, other, now);
    const expected = model.value(0, other, now);
    if (hex(hit?.value ?? key) !== hex(expected ?? key)) {
      throw new Error(`operation ${operation}: another value`);
    }
  }
  t.ok(cache.expire(T0 + HOUR, Infinity) > 0);
  t.equal(cache.bytes, 0);
});
