import type { Finding, Rule } from './finding.ts';
import { lineAt, type Source } from './source.ts';

const COLUMNS_MAX = 100;
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

/** Everything that can be said of one TypeScript file by itself. */
export function checkSource(source: Source): Finding[] {
  return [
    ...banned(source),
    ...modules(source),
    ...lengths(source),
    ...functions(source),
    ...leftovers(source),
  ];
}

/** What no file of the repository may say; the words are cut so that this file may stand here. */
const WORDS: readonly [RegExp, string][] = [
  [new RegExp(`/${'work'}/`, 'g'), 'a path of one machine'],
  [new RegExp(`\\.\\./${'shared'}`, 'g'), 'a path outside the repository'],
  [
    new RegExp(
      `\\b(registry|npm|artifacts?|mirrors?)[\\w-]*\\.[\\w.-]+\\.(${'org'}|com|net|io)\\b`,
      'g',
    ),
    'a host of a package registry',
  ],
];

export function checkWords(path: string, text: string): Finding[] {
  return WORDS.flatMap(([pattern, what]) =>
    [...text.matchAll(pattern)].map(({ index }) => ({
      path,
      line: lineAt(text, index),
      rule: 'word' as const,
      reason: `${what}: the repository speaks of the product alone`,
    })),
  );
}

const TOOLS = /^(?:scripts|test|packages\/(?:[\w-]+\/test|bench))\//;
const HOST = /^packages\/host\/src\//;
const CLI = /^packages\/cli\/src\//;
const MACHINE = /^packages\/(?:cache|multicast|secure-udp|replica)\/src\//;
/** Where `replica` becomes promises for its callers, and `multicast` finds peers. */
const MACHINE_EDGE =
  /\/(?:multicast\/src\/(?:name-)?discovery|replica\/src\/(?:local-replica|api))\.ts$/;

interface Ban {
  readonly rule: Rule;
  readonly pattern: RegExp;
  readonly allowed: (path: string) => boolean;
  readonly instead: string;
}

const outsideHost = (path: string) => TOOLS.test(path) || HOST.test(path) || CLI.test(path);

const BANS: readonly Ban[] = [
  {
    rule: 'clock',
    pattern: /(?<![.\w$])(?:Date|performance)\b(?=[.()])|\bprocess\.(?:hrtime|uptime)\b/g,
    allowed: outsideHost,
    instead: 'time comes from the Host',
  },
  {
    rule: 'timer',
    pattern: /(?<![.\w$#])(?:set|clear)(?:Timeout|Interval|Immediate)\b|\bAbortSignal\.timeout\b/g,
    allowed: outsideHost,
    instead: 'delays come from the Host',
  },
  {
    rule: 'random',
    pattern: /\bMath\.random\b|\b(?:random(?:Bytes|Int|UUID|Fill|FillSync)|getRandomValues)\b/g,
    allowed: outsideHost,
    instead: 'chance comes from the Host',
  },
  {
    rule: 'promise',
    pattern: /(?<![.\w$])(?:async|await|Promise)\b/g,
    allowed: (path) => !MACHINE.test(path) || MACHINE_EDGE.test(path),
    instead: 'a machine answers with tickets and events',
  },
  {
    rule: 'syntax',
    pattern: /(?<=(?::|\bas|<|\||&|=>)\s*)any\b(?![\w$:(?.])|(?<![.\w$])any(?=\s*(?:>|\[\]))/g,
    allowed: () => false,
    instead: 'say the type, or `unknown`',
  },
  {
    rule: 'syntax',
    pattern: /(?<![.\w$])(?:enum|namespace|module)\s+\w+\s*\{/g,
    allowed: () => false,
    instead: 'types must be erasable: an `as const` object, a module',
  },
];

function banned({ path, code }: Source): Finding[] {
  return BANS.filter(({ allowed }) => !allowed(path)).flatMap(({ rule, pattern, instead }) =>
    [...code.matchAll(pattern)].map((match) => ({
      path,
      line: lineAt(code, match.index),
      rule,
      reason: `\`${match[0].trim()}\`: ${instead}`,
    })),
  );
}

/** Of node:net, without a socket. */
const PURE_NAMES = new Set(['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress']);
const MODULE_PLACES: Readonly<Record<string, RegExp>> = {
  'node:dgram': /^packages\/(?:host\/src\/|multicast\/src\/discovery\.ts$)/,
  'node:net': /^packages\/(?:host|node|client)\/src\//,
  'node:tls': /^packages\/(?:host|node|client)\/src\//,
  'node:timers': /^packages\/(?:host|cli)\/src\//,
  'node:timers/promises': /^packages\/(?:host|cli)\/src\//,
};

function modules({ path, imports }: Source): Finding[] {
  if (TOOLS.test(path)) return [];
  return imports
    .filter(({ specifier, names }) => {
      if (MODULE_PLACES[specifier]?.test(path) ?? true) return false;
      return names.some((name) => specifier !== 'node:net' || !PURE_NAMES.has(name));
    })
    .map(({ specifier, line }) => ({
      path,
      line,
      rule: 'socket',
      reason: `${specifier}: sockets and timers are the business of other places`,
    }));
}

/** One string or pattern, which nothing can break, perhaps with its name. */
const LITERAL_LINE = /^\s*(?:[\w']+:\s+|return\s+)?(['"`]|\/(?![*/])).*\1[gimsuvy]*[,;)]*$/;

function lengths({ path, text }: Source): Finding[] {
  const lines = text.replace(/\n$/, '').split('\n');
  const rule = 'length';
  const findings: Finding[] = lines.flatMap((content, i) => {
    const columns = [...content].length;
    if (columns <= COLUMNS_MAX || LITERAL_LINE.test(content)) return [];
    return [{ path, line: i + 1, rule, reason: `${columns} columns, at most ${COLUMNS_MAX}` }];
  });
  if (lines.length > FILE_LINES_MAX) {
    const reason = `${lines.length} lines, at most ${FILE_LINES_MAX}: split it by what it owns`;
    findings.push({ path, line: FILE_LINES_MAX + 1, rule, reason });
  }
  return findings;
}

/** What stands before a function's body: parameters, perhaps the result's type, or an arrow. */
const FUNCTION_HEAD = /(?:=>|\)(?:\s*:[^=;{}]*)?)\s*$/;
const STATEMENT_HEAD = /^\s*(?:else\s+)?(?:if|for|while|switch|catch|with)\b/;

function functions({ path, code }: Source): Finding[] {
  const findings: Finding[] = [];
  const open: { at: number; body: boolean }[] = [];
  let head = 0;
  for (let at = 0; at < code.length; at += 1) {
    const char = code[at];
    if (char === '{') {
      const text = code.slice(head, at);
      open.push({ at, body: FUNCTION_HEAD.test(text) && !STATEMENT_HEAD.test(text) });
    } else if (char === '}') {
      const block = open.pop();
      if (block?.body) {
        const line = lineAt(code, block.at);
        const lines = lineAt(code, at) - line + 1;
        const reason = `a function of ${lines} lines, at most ${FUNCTION_LINES_MAX}`;
        if (lines > FUNCTION_LINES_MAX) findings.push({ path, line, rule: 'length', reason });
      }
    }
    if (char === '{' || char === '}' || char === ';') head = at + 1;
  }
  return findings;
}

const LEFTOVERS = new RegExp(`\\b(?:TO${'DO'}|FIX${'ME'}|XX${'X'})\\b|@ts-(?:ignore|nocheck)`, 'g');

function leftovers({ path, text }: Source): Finding[] {
  return [...text.matchAll(LEFTOVERS)].map((match) => ({
    path,
    line: lineAt(text, match.index),
    rule: 'word',
    reason: `\`${match[0]}\`: do it, or say what is so`,
  }));
}
