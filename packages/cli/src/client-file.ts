import { readFileSync } from 'node:fs';
import { YAMLSeq, isMap, isSeq, parseDocument } from 'yaml';
import { formatEndpoint } from './config/address.ts';
import { nodeEndpoint } from './ports.ts';
import type { Credentials } from './templates.ts';

/** The user that a client's file names, if it names one whole. */
export function configuredUser(file: string): Credentials | undefined {
  const document = parseDocument(readFileSync(file, 'utf8'));
  const name = document.getIn(['user', 'name']);
  const password = document.getIn(['user', 'password']);
  return typeof name === 'string' && typeof password === 'string' ? { name, password } : undefined;
}

/** A client's file that names the first nodes of a home; undefined when it does already. */
export function addNodes(text: string, base: number, nodes: number): string | undefined {
  const document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents)) return undefined;
  const said = document.get('nodes');
  const list = isSeq(said) ? said : new YAMLSeq();
  const known = new Set(list.toJSON() as unknown[]);
  const missing = Array.from({ length: nodes }, (_, index) =>
    formatEndpoint(nodeEndpoint(base, index + 1)),
  ).filter((endpoint) => !known.has(endpoint));
  if (missing.length === 0) return undefined;
  for (const endpoint of missing) list.add(document.createNode(endpoint));
  document.set('nodes', list);
  return document.toString();
}
