import * as z from 'zod';

export type KeyPath = readonly (string | number)[];

/** The keys that may stand at a place of a schema; empty where it is no map. */
export function keysAt(schema: z.ZodType, path: KeyPath): readonly string[] {
  const found = path.reduce<z.ZodType | undefined>(child, schema);
  const map = found && unwrap(found);
  return map instanceof z.ZodObject ? Object.keys(map.shape) : [];
}

/** Every key of a schema with the path that leads to it, lists left out. */
export function keyPaths(schema: z.ZodType, above = ''): readonly string[] {
  const map = unwrap(schema);
  if (!(map instanceof z.ZodObject)) return [];
  return Object.entries<z.ZodType>(map.shape).flatMap(([key, below]) => {
    const path = above === '' ? key : `${above}.${key}`;
    return [path, ...keyPaths(below, path)];
  });
}

/** What a file says with every default filled in, in the file's own words (`10s`, not 10000). */
export function effective(schema: z.ZodType, raw: unknown): unknown {
  const said = raw === undefined && schema instanceof z.ZodPrefault ? schema.def.defaultValue : raw;
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject && isMap(said)) {
    const entries = Object.entries<z.ZodType>(inner.shape).map(([key, below]) => [
      key,
      effective(below, said[key]),
    ]);
    return Object.fromEntries(entries.filter(([, below]) => below !== undefined));
  }
  if (inner instanceof z.ZodArray && Array.isArray(said))
    return said.map((item) => effective(inner.element as z.ZodType, item));
  return said;
}

function child(schema: z.ZodType | undefined, key: string | number): z.ZodType | undefined {
  const inner = schema && unwrap(schema);
  if (inner instanceof z.ZodObject) return inner.shape[key] as z.ZodType | undefined;
  if (inner instanceof z.ZodArray) return inner.element as z.ZodType;
  if (inner instanceof z.ZodRecord) return inner.valueType as z.ZodType;
  return undefined;
}

function unwrap(schema: z.ZodType): z.ZodType {
  const wrapped = schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional;
  return wrapped ? unwrap(schema.unwrap() as z.ZodType) : schema;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
