import { contains, parseNetwork, type Network } from '@argyle/host';
import { NodeError } from './node-error.ts';
import type { Rule } from './options.ts';

/**
 * Who may reach what. The first rule that matches decides; when none does, the answer is no.
 *
 * A rule matches when each of its lists is empty or holds the thing asked for. A name is matched as
 * it was requested; networks are matched against each address that would be dialled; so a rule with
 * names never matches a request by address, and one with both asks for both.
 *
 * Special addresses (below) are the node's own surroundings, and a general `allow` does not mean
 * them: there an `allow` rule matches only through a network that lies within the special block.
 * `0.0.0.0/0` opens the Internet and no loopback; `127.0.0.0/8` or `10.1.0.0/16` opens itself.
 */
export class RuleBook {
  readonly #rules: readonly ParsedRule[];

  /** Throws a NodeError when a rule names a network that is none. */
  constructor(rules: readonly Rule[]) {
    this.#rules = rules.map((rule, index) => parseRule(rule, index));
  }

  allows(question: Question): boolean {
    const special = SPECIAL.find((block) => contains(block, question.address));
    const rule = this.#rules.find((rule) => matches(rule, question, special));
    return rule?.action === 'allow';
  }
}

export interface Question {
  readonly command: Rule['commands'][number];
  readonly user: string | undefined;
  readonly groups: readonly string[];
  /** As requested, in lower case and without a final dot; undefined when asked by address. */
  readonly name: string | undefined;
  /** A single address: the one that would be dialled. */
  readonly address: Network;
  readonly port: number;
}

interface ParsedRule extends Omit<Rule, 'networks'> {
  readonly networks: readonly Network[];
}

/** RFC 6890 and its registries: everything that is not a public unicast address. */
const SPECIAL: readonly Network[] = [
  '0.0.0.0/8', // this network; the system dials it as loopback
  '10.0.0.0/8',
  '100.64.0.0/10', // shared with carriers
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, and clouds' metadata services
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
  '::/96', // unspecified, loopback, IPv4-compatible
  '64:ff9b::/96', // translated to IPv4, whatever that is
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23', // Teredo and other protocol assignments
  '2001:db8::/32',
  '2002::/16', // 6to4: carries any IPv4 address
  'fc00::/7', // unique local
  'fe80::/10', // link-local
  'fec0::/10', // site-local, deprecated
  'ff00::/8', // multicast
].map((text) => parsed(text, 'special addresses'));

function matches(rule: ParsedRule, question: Question, special: Network | undefined): boolean {
  const { user, groups, name, address, port, command } = question;
  if (!emptyOr(rule.commands, (wanted) => wanted === command)) return false;
  if (!emptyOr(rule.ports, (range) => range.from <= port && port <= range.to)) return false;
  if (!emptyOr(rule.users, (wanted) => wanted === user)) return false;
  if (!emptyOr(rule.groups, (wanted) => groups.includes(wanted))) return false;
  if (!emptyOr(rule.names, (wanted) => name !== undefined && nameMatches(wanted, name)))
    return false;
  if (rule.action === 'allow' && special) {
    return rule.networks.some((net) => contains(net, address) && contains(special, net));
  }
  return emptyOr(rule.networks, (network) => contains(network, address));
}

function emptyOr<Item>(list: readonly Item[], matches: (item: Item) => boolean): boolean {
  return list.length === 0 || list.some(matches);
}

/** `*.example.org` is every name below example.org, and not that name itself. */
function nameMatches(wanted: string, name: string): boolean {
  return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : name === wanted;
}

function parseRule(rule: Rule, index: number): ParsedRule {
  return {
    ...rule,
    names: rule.names.map((name) => name.toLowerCase().replace(/\.$/, '')),
    networks: rule.networks.map((text) => parsed(text, `rules[${index}].networks`)),
  };
}

function parsed(text: string, where: string): Network {
  const network = parseNetwork(text);
  if (network) return network;
  throw new NodeError(
    'bad-network',
    `${where}: wanted a network such as 10.0.0.0/8, found ${text}`,
  );
}
