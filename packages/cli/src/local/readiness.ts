import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from '@argyle/host';
import { formatEndpoint } from '../config/address.ts';

const LOOK_AGAIN_MS = 100;
const ANSWER_MS = 2_000;

/** Ready, or why not. */
export type ReadinessAnswer =
  { readonly ready: true } | { readonly ready: false; readonly reason: string };

export async function askReadiness(admin: Endpoint): Promise<ReadinessAnswer> {
  try {
    const answer = await fetch(`http://${formatEndpoint(admin)}/readyz`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const body = (await answer.json()) as { reason?: unknown };
    if (answer.ok) return { ready: true };
    return { ready: false, reason: String(body.reason ?? `status ${answer.status}`) };
  } catch {
    return { ready: false, reason: `no answer at ${formatEndpoint(admin)}` };
  }
}

/** Asks until it is ready, the bound is reached, or `over` says that asking is of no use. */
export async function awaitReadiness(
  admin: Endpoint,
  options: { readonly withinMs: number; readonly over: () => boolean },
): Promise<ReadinessAnswer> {
  const until = performance.now() + options.withinMs;
  for (;;) {
    const answer = await askReadiness(admin);
    if (answer.ready || options.over() || performance.now() >= until) return answer;
    await delay(LOOK_AGAIN_MS);
  }
}
