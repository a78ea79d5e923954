import { setTimeout as delay } from 'node:timers/promises';
import type { Step } from './key-steps.ts';
import { inspect } from './inspection.ts';

/** Which keys members have, by their own word or by that of others, and whom nobody can ask. */
export interface Survey {
  /** Ids of a member's ring by its name: the first seals. */
  readonly rings: ReadonlyMap<string, readonly string[]>;
  /** Sentences. */
  readonly silent: readonly string[];
}

/** A node reads its ring every half second, and its word reaches the others in as much. */
const TAKEN_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 200;

/** Asks those nodes; each also tells of the members of its view. */
export async function survey(urls: readonly string[]): Promise<Survey> {
  const answers = await Promise.all(urls.map(inspect));
  const nodes = answers.filter((answer) => answer.kind === 'node');
  const heard = nodes.flatMap(({ others }) =>
    others.map(({ name, keys }) => [name, keys] as const),
  );
  const said = nodes.map(({ name, keys }) => [name, keys] as const);
  return {
    rings: new Map([...heard, ...said]),
    silent: answers.flatMap((answer) =>
      answer.kind === 'silent' ? [`${answer.url} does not answer (${answer.reason})`] : [],
    ),
  };
}

/**
 * Whom a step would cut off, as sentences: who does not open the key that would seal, or still
 * seals with one that would go. `newest` is that key's id.
 */
export function unready(step: Step, newest: string, { rings }: Survey): readonly string[] {
  return [...rings].flatMap(([name, keys]) => {
    if (step === 'promote' && !keys.includes(newest)) return [`${name} has no key ${newest} yet`];
    if (step === 'remove' && keys[0] !== newest) return [`${name} seals with ${keys[0]} still`];
    return [];
  });
}

/** Asks until all have exactly those keys, for a while. The answer names who has not, at last. */
export async function awaitTaken(
  urls: readonly string[],
  ids: readonly string[],
): Promise<Survey & { readonly late: readonly string[] }> {
  const until = performance.now() + TAKEN_WITHIN_MS;
  for (;;) {
    const found = await survey(urls);
    const late = [...found.rings].flatMap(([name, keys]) =>
      keys.join() === ids.join() ? [] : [`${name} has not taken it`],
    );
    if (late.length === 0 || performance.now() >= until) return { ...found, late };
    await delay(LOOK_AGAIN_MS);
  }
}
