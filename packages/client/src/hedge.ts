import { ClientError, type ClientErrorCode } from './errors.ts';
import { failureOf } from './failure.ts';

/**
 * One attempt. `signal` aborts when its result is not wanted any more; `silent` may be called when
 * it seems to go nowhere, and changes nothing for it. Rejects with `exhausted` when there is
 * nothing to attempt.
 */
export type Attempt<Result> = (signal: AbortSignal, silent: () => void) => Promise<Result>;

export interface HedgeOptions<Result> {
  /** Rejects the whole when it aborts. */
  readonly signal: AbortSignal;
  readonly attemptsMax: number;
  /** Given every result but the one that counts. */
  readonly discard: (result: Result) => void;
}

const EXHAUSTED: ClientErrorCode = 'exhausted';

/**
 * The first result of several attempts: the next begins when the newest failed or is silent.
 * Rejects with the failure of the last one, when no more may begin and none is open.
 */
export function hedged<Result>(
  attempt: Attempt<Result>,
  { signal, attemptsMax, discard }: HedgeOptions<Result>,
): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const open = new Set<AbortController>();
  let begun = 0;
  let settled = false;

  const settle = (reason: () => unknown) => {
    settled = true;
    signal.removeEventListener('abort', abort);
    for (const other of open) other.abort(reason());
  };
  const abort = () => {
    settle(() => signal.reason);
    reject(failureOf(signal.reason));
  };
  const succeeded = (controller: AbortController, result: Result) => {
    open.delete(controller);
    if (settled) {
      discard(result);
      return;
    }
    settle(() => new ClientError('stopped', 'another node answered first'));
    resolve(result);
  };
  const failed = (controller: AbortController, error: unknown) => {
    open.delete(controller);
    if (settled) return;
    const failure = failureOf(error);
    if (failure.code !== EXHAUSTED && begun < attemptsMax) begin();
    else if (open.size === 0) {
      settle(() => failure);
      reject(failure);
    }
  };
  const begin = () => {
    const controller = new AbortController();
    open.add(controller);
    begun += 1;
    const number = begun;
    const silent = () => {
      if (!settled && number === begun && begun < attemptsMax) begin();
    };
    attempt(controller.signal, silent).then(
      (result) => succeeded(controller, result),
      (error: unknown) => failed(controller, error),
    );
  };

  if (signal.aborted) return Promise.reject(failureOf(signal.reason));
  signal.addEventListener('abort', abort);
  begin();
  return promise;
}
