/** One thing that is wrong in a file, told so that a person can mend it without reading code. */
export interface Problem {
  readonly file: string;
  /** From 1; undefined when the file as a whole is meant. */
  readonly line: number | undefined;
  /** The key's path, `limits.idle`; empty for the file as a whole. */
  readonly key: string;
  readonly found: string;
  readonly wanted: string;
}

/** The configuration is wrong: every problem that was found, at once. */
export class ConfigError extends Error {
  readonly code = 'configuration';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(sentence).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Collects what is wrong until everything has been looked at. */
export class Findings {
  readonly problems: Problem[] = [];
  /** Sentences about what works but should not stay so. */
  readonly warnings: string[] = [];

  /** Throws a ConfigError if there was any problem. */
  settle(): void {
    if (this.problems.length > 0) throw new ConfigError(this.problems.toSorted(byPlace));
  }
}

function sentence({ file, line, key, found, wanted }: Problem): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return `${place}: ${key === '' ? '' : `${key}: `}found ${found}, wanted ${wanted}`;
}

function byPlace(left: Problem, right: Problem): number {
  return left.file.localeCompare(right.file) || (left.line ?? 0) - (right.line ?? 0);
}
