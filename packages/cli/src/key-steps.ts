import { keyId } from '@argyle/multicast';
import type { DatedRing } from './config/key-ring.ts';
import { CliError } from './exit-code.ts';

/** A key is replaced in three steps: all open the new one, it seals, the old one is gone. */
export type Step = 'add' | 'promote' | 'remove';

/** What comes next is seen from the ring: the newest key is not there, opens, or seals already. */
export function nextStep({ keys, madeAtMs }: DatedRing): Step {
  if (keys.length === 1) return 'add';
  return madeAtMs[0] === Math.max(...madeAtMs) ? 'remove' : 'promote';
}

/**
 * The ring after its next step. `newKey` draws a key; `nowMs` is wall time. The newest key is the
 * newest by its date, whatever clocks say.
 */
export function stepped(ring: DatedRing, newKey: () => Uint8Array, nowMs: number): DatedRing {
  const { keys, madeAtMs } = ring;
  const newest = madeAtMs.indexOf(Math.max(...madeAtMs));
  switch (nextStep(ring)) {
    case 'add': {
      const madeAt = Math.max(Math.floor(nowMs), Math.floor(madeAtMs[newest] ?? 0) + 1);
      return { ...ring, keys: [...keys, newKey()], madeAtMs: [...madeAtMs, madeAt] };
    }
    case 'promote':
      return { ...ring, keys: toFront(keys, newest), madeAtMs: toFront(madeAtMs, newest) };
    case 'remove':
      return { ...ring, keys: keys.slice(0, 1), madeAtMs: madeAtMs.slice(0, 1) };
  }
}

/** What has been done, in the operator's words. */
export function toldStep(before: DatedRing, after: DatedRing): string {
  const [was = '', is = ''] = [before, after].map(({ keys }) => keyId(keys[0]!));
  switch (nextStep(before)) {
    case 'add':
      return `added key ${keyId(after.keys.at(-1)!)}: it opens, ${is} seals`;
    case 'promote':
      return `promoted key ${is}: it seals, ${was} opens`;
    case 'remove':
      return `removed all but key ${is}`;
  }
}

/** Throws a CliError when another step comes next than the one that was asked for. */
export function checkStep(asked: string | undefined, ring: DatedRing): Step {
  const next = nextStep(ring);
  if (asked === undefined || asked === next) return next;
  throw new CliError('usage', `--step: found "${asked}", wanted "${next}", which comes next`);
}

function toFront<Thing>(things: readonly Thing[], at: number): Thing[] {
  return [...things.slice(at, at + 1), ...things.slice(0, at), ...things.slice(at + 1)];
}
