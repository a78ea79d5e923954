import type { SourceFile } from './finding.ts';

/** One import or re-export of a module. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** Names that exist at run time; `*` for a whole module, or for one that is run only. */
  readonly names: readonly string[];
}

/** TypeScript read as far as the rules need it, without a parser. */
export class Source {
  readonly path: string;
  readonly text: string;
  /** Of the same length, with comments, strings and regular expressions blank. */
  readonly code: string;
  readonly imports: readonly Import[];

  constructor({ path, text }: SourceFile) {
    this.path = path;
    this.text = text;
    const { code, uncommented } = blank(text);
    this.code = code;
    this.imports = IMPORTS.flatMap((pattern) => [...uncommented.matchAll(pattern)])
      .filter((match) => code.startsWith(match[1]!, match.index))
      .map((match) => ({
        specifier: match[3]!,
        line: lineAt(text, match.index + match[0].length),
        names: runTimeNames(match[2]!),
      }));
  }
}

export function lineAt(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}

/** Keyword, clause, specifier. */
const IMPORTS = [
  /\b(import|export)\s+([\w$*{}\s,]+?)\s+from\s+['"]([^'"\n]+)['"]/g,
  /\b(import)(\s*\(\s*)['"]([^'"\n]+)['"]/g,
  /\b(import)(\s+)['"]([^'"\n]+)['"]/g,
];

function runTimeNames(clause: string): string[] {
  if (/^type\b(?!\s*,)/.test(clause)) return [];
  const braces = /\{([^}]*)\}/.exec(clause);
  if (!braces) return ['*'];
  const names = braces[1]!.split(',').map((name) => name.trim());
  const values = names.filter((name) => name !== '' && !name.startsWith('type '));
  return braces[0].length === clause.length ? values : ['*', ...values];
}

/** Where a slash begins a regular expression: where no value can have ended. */
const BEFORE_REGEX = /(?:^|[=(,:;!&|?{}[+\-*%<>~^]|\b(?:return|typeof|case|of|in))\s*$/;

function blank(text: string): { code: string; uncommented: string } {
  const code = [...text.split('')];
  const uncommented = [...text.split('')];
  const hide = (from: number, to: number, comment: boolean) => {
    for (let i = from; i < to; i += 1) {
      if (text[i] === '\n') continue;
      code[i] = ' ';
      if (comment) uncommented[i] = ' ';
    }
  };
  /** Depth of braces at which each open template's `${` ends. */
  const templates: number[] = [];
  let depth = 0;
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at, at + 2);
    const char = text[at]!;
    let end = at + 1;
    if (rest === '//') hide(at, (end = until(text, at, /\n|$/g)), true);
    else if (rest === '/*') hide(at, (end = until(text, at + 2, /\*\/|$/g)), true);
    else if (char === "'" || char === '"') hide(at + 1, (end = quoted(text, at, char)) - 1, false);
    else if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      if (char === '}') templates.pop();
      end = until(text, at + 1, /(?<!\\)(?:\\\\)*(?:`|\$\{)/g);
      hide(at + 1, end - 1, false);
      if (text[end - 1] === '{') templates.push(depth);
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(Math.max(0, at - 60), at).join(''))) {
      end = regexEnd(text, at);
      hide(at + 1, end - 1, false);
    } else if (char === '{') depth += 1;
    else if (char === '}') depth -= 1;
    at = end;
  }
  return { code: code.join(''), uncommented: uncommented.join('') };
}

function until(text: string, from: number, pattern: RegExp): number {
  pattern.lastIndex = from;
  const match = pattern.exec(text);
  return match ? match.index + match[0].length : text.length;
}

function quoted(text: string, at: number, quote: string): number {
  for (let end = at + 1; end < text.length; end += 1) {
    if (text[end] === '\\') end += 1;
    else if (text[end] === quote || text[end] === '\n') return end + 1;
  }
  return text.length;
}

function regexEnd(text: string, at: number): number {
  let inClass = false;
  for (let end = at + 1; end < text.length; end += 1) {
    const char = text[end];
    if (char === '\\') end += 1;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if ((char === '/' && !inClass) || char === '\n') return end + 1;
  }
  return text.length;
}
