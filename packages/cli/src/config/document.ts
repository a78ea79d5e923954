import { dirname, join, isAbsolute } from 'node:path';
import { LineCounter, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import * as z from 'zod';
import { readText } from './files.ts';
import type { Findings } from './problem.ts';
import { keyPaths, keysAt, type KeyPath } from './schema-walk.ts';
import { nearest } from './suggestion.ts';

/** Longer values are cut in a message. */
const SHOWN_CHARACTERS = 60;

/** A YAML file that knows on which line everything stands. */
export class ConfigDocument {
  readonly file: string;
  readonly raw: unknown;
  readonly #findings: Findings;
  readonly #lines: LineCounter;
  readonly #contents: unknown;
  readonly #hidden: (path: KeyPath) => boolean;

  /** Undefined when it cannot be read or is no YAML: that is reported already. */
  static read(
    file: string,
    findings: Findings,
    /** Places whose values never stand in a message. */
    hidden: (path: KeyPath) => boolean = () => false,
  ): ConfigDocument | undefined {
    const read = readText(file);
    if ('found' in read) {
      const wanted = 'a YAML file that can be read';
      findings.problems.push({ file, line: undefined, key: '', found: read.found, wanted });
      return undefined;
    }
    const lines = new LineCounter();
    const parsed = parseDocument(read.text, { lineCounter: lines, prettyErrors: false });
    for (const { message, pos } of parsed.errors) {
      const line = lines.linePos(pos[0]).line;
      findings.problems.push({
        file,
        line,
        key: '',
        found: withoutQuotes(message),
        wanted: 'YAML',
      });
    }
    if (parsed.errors.length > 0) return undefined;
    try {
      const raw: unknown = parsed.toJS();
      return new ConfigDocument({ file, raw, contents: parsed.contents, lines, findings, hidden });
    } catch {
      const found = 'an alias (*name) without its anchor (&name), or too many of them';
      findings.problems.push({ file, line: undefined, key: '', found, wanted: 'YAML' });
      return undefined;
    }
  }

  private constructor(parts: {
    file: string;
    raw: unknown;
    contents: unknown;
    lines: LineCounter;
    findings: Findings;
    hidden: (path: KeyPath) => boolean;
  }) {
    this.file = parts.file;
    this.raw = parts.raw;
    this.#contents = parts.contents;
    this.#lines = parts.lines;
    this.#findings = parts.findings;
    this.#hidden = parts.hidden;
  }

  /** The value at a place as the file has it; undefined when there is none. */
  at(path: KeyPath): unknown {
    return path.reduce<unknown>((above, key) => {
      if (typeof above !== 'object' || above === null || !Object.hasOwn(above, key))
        return undefined;
      return (above as Readonly<Record<string | number, unknown>>)[key];
    }, this.raw);
  }

  /** The path of the file that is named at a place, relative to this file's folder. */
  pathAt(path: KeyPath): string | undefined {
    const said = this.at(path);
    if (typeof said !== 'string' || said === '') return undefined;
    return isAbsolute(said) ? said : join(dirname(this.file), said);
  }

  report(path: KeyPath, found: string, wanted: string): void {
    const key = path.join('.');
    const { file } = this;
    this.#findings.problems.push({ file, line: this.#line(path), key, found, wanted });
  }

  /** Undefined when anything is wrong: that is reported then, all of it. */
  validate<Schema extends z.ZodType>(schema: Schema): z.output<Schema> | undefined {
    const result = schema.safeParse(this.raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) this.#translate(issue, schema);
    return undefined;
  }

  #translate(issue: z.core.$ZodIssue, schema: z.ZodType): void {
    const path = issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        this.report([...path, key], 'an unknown key', suggest(key, schema, path));
      }
    } else if (issue.code === 'invalid_key') {
      this.report(path, 'this key', issue.issues[0]?.message ?? 'another key');
    } else if (issue.code === 'invalid_type') {
      const wanted = issue.expected === 'array' ? 'a list' : 'a map of keys and values';
      this.report(path, this.#describe(path), wanted);
    } else {
      this.report(path, this.#describe(path), issue.message);
    }
  }

  #describe(path: KeyPath): string {
    const found = this.at(path);
    if (found === undefined || found === null) return 'nothing';
    if (Array.isArray(found)) return 'a list';
    if (typeof found === 'object') return 'a map';
    if (this.#hidden(path)) return 'a value that is not shown';
    if (typeof found !== 'string') return String(found);
    const cut = found.length > SHOWN_CHARACTERS;
    return JSON.stringify(cut ? `${found.slice(0, SHOWN_CHARACTERS)}…` : found);
  }

  /** Of the key, or of the nearest that there is above it. */
  #line(path: KeyPath): number {
    let node = this.#contents;
    let offset = 0;
    for (const key of path) {
      if (isMap(node)) {
        const pair = node.items.find((one) => isScalar(one.key) && String(one.key.value) === key);
        if (!isScalar(pair?.key)) break;
        offset = pair.key.range?.[0] ?? offset;
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(key)];
        const range = isScalar(node) || isMap(node) || isSeq(node) ? node.range : undefined;
        offset = range?.[0] ?? offset;
      } else break;
    }
    return Math.max(1, this.#lines.linePos(offset).line);
  }
}

function suggest(key: string, schema: z.ZodType, path: KeyPath): string {
  const here = keysAt(schema, path);
  const near = nearest(key, here);
  if (near !== undefined) return `"${near}"`;
  const elsewhere = keyPaths(schema).find((one) => one.split('.').at(-1) === key);
  return elsewhere === undefined ? `one of ${here.join(', ')}` : `it as "${elsewhere}"`;
}

/** The parser quotes the source after a colon or a backslash, and a source may be a password. */
function withoutQuotes(message: string): string {
  return message.replace(/(: | \\)[^]*$/, '');
}
