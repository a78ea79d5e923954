import type { Site } from './site.ts';

/** The figures of one run, by name. */
export type Sample = Readonly<Record<string, number>>;

/** A question, and who answers it side by side. */
export interface Benchmark {
  readonly name: string;
  /** One line: what is asked, and beside what the answer is to be seen. */
  readonly question: string;
  /** Each is put to every contender, in every round. */
  readonly loads: readonly string[];
  readonly contenders: readonly Contender[];
  readonly columns: readonly Column[];
  /** The row of this name is what the others are compared with, in some figures. */
  readonly baseline: {
    readonly contender: string;
    readonly figures: readonly { readonly figure: string; readonly title: string }[];
  };
  readonly bars: readonly Bar[];
  /** Contenders are started anew for every run, because what one leaves changes the next. */
  readonly fresh: boolean;
  /** Sentences below the table. */
  readonly notes: readonly string[];
  /** Where its table stands, from the package's folder; without it in the README. */
  readonly document?: string;
  /** What `--write` draws beside that document. */
  readonly plot?: Plot;
}

/** Figures over loads, a line a contender. */
export interface Plot {
  /** SVG, in the document's folder. */
  readonly file: string;
  readonly title: string;
  readonly x: { readonly title: string; readonly of: (load: string) => number };
  readonly figures: readonly { readonly figure: string; readonly title: string }[];
}

export interface Contender {
  /** What `--only` names. */
  readonly family: string;
  /** As the table names it. */
  readonly name: string;
  /** A row says so when one is not installed. */
  readonly needs: readonly Need[];
  open(site: Site): Promise<Subject>;
}

/** A program and the Debian package that brings it. */
export interface Need {
  readonly program: string;
  readonly debianPackage: string;
}

/** A contender that runs. */
export interface Subject extends AsyncDisposable {
  /** Rejects with a BenchError when the work was not done as it should be. */
  measure(load: string): Promise<Sample>;
}

export interface Column {
  readonly figure: string;
  readonly title: string;
  readonly digits: number;
}

/** What has to hold, of medians over rounds. */
export interface Bar {
  readonly text: string;
  readonly load: string;
  readonly contender: string;
  readonly figure: string;
  readonly sense: 'at most' | 'at least';
  readonly limit: number;
  /** The figure is divided by that of another row in the same round. */
  readonly over?: { readonly load: string; readonly contender: string };
}
