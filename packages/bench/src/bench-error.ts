/**
 * `usage`: an unknown name or option. `tools`: the load tools cannot be built. `start`: a process
 * did not come up. `run`: a load tool or a measured process failed while measuring.
 */
export type BenchErrorCode = 'usage' | 'tools' | 'start' | 'run';

export class BenchError extends Error {
  readonly code: BenchErrorCode;

  constructor(code: BenchErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BenchError';
    this.code = code;
  }
}
