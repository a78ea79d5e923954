import { wholeNumber } from '../arguments.ts';
import { CliError } from '../exit-code.ts';
import { clientAddresses, nodeAddresses } from '../home-addresses.ts';
import { NODES_MAX, type Home } from '../home.ts';
import type { HomePlan } from '../make-home.ts';
import {
  CLIENT_PORT_DEFAULT,
  LOOPBACK,
  PORT_BASE_DEFAULT,
  PORT_BASE_MAX,
  baseOfGroup,
} from '../ports.ts';

export interface PlanOptions {
  readonly nodes: string | undefined;
  readonly portBase?: string;
  readonly clientPort?: string;
}

const NODES_DEFAULT = 3;

/**
 * What a home is to become. What it holds already leads: its ports stay, and nodes are only added.
 * Throws a CliError when the options ask for other ports.
 */
export function planHome(home: Home, options: PlanOptions): HomePlan & { kind: 'local' } {
  const there = nodeAddresses(home);
  const first = there[0];
  const said = {
    base: number('--port-base', options.portBase, 1_024, PORT_BASE_MAX),
    clientPort: number('--client-port', options.clientPort, 1, 65_535),
    nodes: number('the number of nodes', options.nodes, 1, NODES_MAX),
  };
  const held = { base: first && baseOfGroup(first.group), client: clientAddresses(home)?.listen };
  same(home, 'ports counted from', said.base, held.base);
  same(home, 'a client at port', said.clientPort, held.client?.port);
  return {
    kind: 'local',
    nodes: said.nodes ?? (home.nodes().at(-1) || NODES_DEFAULT),
    ports: {
      base: held.base ?? said.base ?? PORT_BASE_DEFAULT,
      client: held.client ?? {
        address: LOOPBACK,
        port: said.clientPort ?? CLIENT_PORT_DEFAULT,
      },
    },
  };
}

function number(what: string, said: string | undefined, least: number, most: number) {
  return said === undefined ? undefined : wholeNumber(what, said, least, most);
}

function same(home: Home, what: string, said: number | undefined, held: number | undefined): void {
  if (said === undefined || held === undefined || said === held) return;
  throw new CliError(
    'usage',
    `${home.path} has ${what} ${held}, and ${said} is asked for: choose another home for another cluster`,
  );
}
