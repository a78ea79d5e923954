/** Something that the house does not allow, as it is printed: `path:line: reason`. */
export interface Finding {
  /** From the root, with slashes. */
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly rule: Rule;
  readonly reason: string;
}

/** What an exception names. */
export type Rule =
  | 'arrow'
  | 'clock'
  | 'dependency'
  | 'format'
  | 'length'
  | 'promise'
  | 'random'
  | 'readme'
  | 'socket'
  | 'syntax'
  | 'timer'
  | 'type'
  | 'unused'
  | 'word';

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}
