/** What the process tells its caller. `configuration`: nothing was started, because it is wrong. */
export const ExitCode = { ok: 0, failure: 1, configuration: 2 } as const;

/**
 * `usage`: an argument is wrong. `exists`, `missing`: a file or an entry is there already, or not.
 * `busy`: something else holds it. `failed`: the work was tried and did not succeed.
 */
export type CliErrorCode = 'usage' | 'exists' | 'missing' | 'busy' | 'failed';

/** The world's fault, in a sentence that says what to do next. It ends the command. */
export class CliError extends Error {
  readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
  }
}
