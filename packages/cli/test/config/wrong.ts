import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CLIENT_YAML, NODE_YAML, alter, problems, rightFolder } from '../fixture.ts';

/** One way to spoil a right configuration. */
export interface Wrong {
  readonly title: string;
  /** In the folder; `node-1.yaml` unless it says otherwise. */
  readonly kind?: 'client';
  spoil(folder: string): void;
  /** The one problem, without the folder in front of each path. */
  readonly told: string | RegExp;
}

/** A test of each: it is told, and no secret with it. */
export function tellEach(cases: readonly Wrong[]): void {
  for (const { title, kind = 'node', spoil, told } of cases) {
    t.test(`told: ${title}`, async (t) => {
      const folder = await rightFolder(t);
      spoil(folder);
      const message = problems(folder, kind);
      if (typeof told === 'string') t.equal(message, told);
      else t.match(message, told);
      t.notMatch(message, /hunter2|31337|correct horse|BwcHBw/);
    });
  }
}

export const inNode = (before: string, after: string) => (folder: string) =>
  alter(join(folder, 'node-1.yaml'), before, after);
export const addToNode = (lines: string) => (folder: string) =>
  writeFileSync(join(folder, 'node-1.yaml'), `${NODE_YAML}${lines}\n`);
export const inClient = (before: string, after: string) => (folder: string) =>
  alter(join(folder, 'client.yaml'), before, after);
export const addToClient = (lines: string) => (folder: string) =>
  writeFileSync(join(folder, 'client.yaml'), `${CLIENT_YAML}${lines}\n`);
export const write = (name: string, text: string) => (folder: string) =>
  writeFileSync(join(folder, name), text);
export const remove = (name: string) => (folder: string) => rmSync(join(folder, name));
export const cut = (name: string) => (folder: string) => {
  const text = readFileSync(join(folder, name), 'utf8');
  writeFileSync(join(folder, name), text.slice(0, 200) + text.slice(300));
};
