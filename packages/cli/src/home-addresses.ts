import { existsSync } from 'node:fs';
import type * as z from 'zod';
import type { Endpoint } from '@argyle/host';
import { clientSchema } from './config/client-schema.ts';
import { ConfigDocument } from './config/document.ts';
import { nodeSchema } from './config/node-schema.ts';
import { Findings } from './config/problem.ts';
import { nodeName, type Home } from './home.ts';

export interface NodeAddresses {
  readonly name: string;
  readonly listen: Endpoint;
  readonly admin: Endpoint;
  readonly group: Endpoint;
  readonly memberPort: number;
}

export interface ClientAddresses {
  readonly listen: Endpoint;
  readonly admin: Endpoint;
}

/** Where the nodes of a home are to be found, as their files say. Throws a ConfigError. */
export function nodeAddresses(home: Home): readonly NodeAddresses[] {
  return home.nodes().map((index) => {
    const said = read(home.config(nodeName(index)), nodeSchema);
    return {
      name: nodeName(index),
      listen: said.listen,
      admin: said.admin,
      group: said.group.address,
      memberPort: said.group.port,
    };
  });
}

/** Undefined when the home has no client. */
export function clientAddresses(home: Home): ClientAddresses | undefined {
  const file = home.config('client');
  return existsSync(file) ? read(file, clientSchema) : undefined;
}

function read<Schema extends z.ZodType>(file: string, schema: Schema): z.output<Schema> {
  const findings = new Findings();
  const document = ConfigDocument.read(file, findings, ([first]) => first === 'user');
  const said = document?.validate(schema);
  findings.settle();
  return said as z.output<Schema>;
}
