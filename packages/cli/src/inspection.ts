import * as z from 'zod';
import type { Hearing } from './hearing-table.ts';

/** What a process says of itself at its admin endpoint. */
export type Inspection =
  | { readonly kind: 'silent'; readonly url: string; readonly reason: string }
  | ({ readonly kind: 'node'; readonly url: string } & NodeView & Readiness)
  | ({ readonly kind: 'client'; readonly url: string } & ClientView & Readiness);

interface Readiness {
  readonly ready: boolean;
  readonly reason: string;
}

interface NodeView {
  readonly name: string;
  /** Members of its view, itself among them. */
  readonly members: number;
  /** Segments that the slowest member has not applied. */
  readonly lag: number;
  readonly records: number;
  readonly digest: string;
  /** Its view's other members, by which ways it and they hear each other, and their rings. */
  readonly others: readonly (Hearing['others'][number] & Pick<NodeView, 'keys'>)[];
  /** Ids of the keys in its ring: the first seals, all open. */
  readonly keys: readonly string[];
}

interface ClientView {
  /** The node in use, as the client calls it, where it is, and why it was chosen. */
  readonly node: string;
  readonly address: string;
  readonly why: string;
  readonly nodes: readonly ClientNode[];
  readonly udp: ClientUdp;
}

/** An address at which a client looks for a node. */
export type ClientNode = z.output<typeof clientNode>;

/** What a client's datagrams go by. */
export type ClientUdp = z.output<typeof clientUdp>;

const ANSWER_MS = 3_000;

const readiness = z.object({ ready: z.boolean(), reason: z.string() });
const ways = z.array(z.enum(['multicast', 'unicast']));
const keys = z.array(z.string());
const nodeCluster = z.object({
  self: z.object({ name: z.string(), keys }),
  members: z.array(
    z.object({ lag: z.number(), name: z.string(), heardBy: ways, hearsUsBy: ways, keys }),
  ),
});
const nodeCache = z.object({ records: z.number(), digest: z.string() });
const clientNode = z.object({
  endpoint: z.string(),
  address: z.string(),
  inUse: z.boolean(),
  state: z.string(),
  delayMs: z.number().nullable(),
});
const clientUdp = z.object({
  associations: z.number(),
  overTls: z.number(),
  blocked: z.boolean(),
  nodes: z.array(z.object({ address: z.string(), used: z.number(), standby: z.number() })),
});
const clientCluster = z.object({
  node: z.string(),
  address: z.string(),
  reason: z.string(),
  nodes: z.array(clientNode),
  udp: clientUdp,
});

/** Never rejects: what does not answer, or answers something else, is silent. */
export async function inspect(url: string): Promise<Inspection> {
  try {
    const [ready, cluster] = await Promise.all([
      ask(`${url}/readyz`).then((answer) => readiness.parse(answer)),
      ask(`${url}/api/v1/cluster`),
    ]);
    const node = nodeCluster.safeParse(cluster);
    if (!node.success) {
      const { reason: why, ...view } = clientCluster.parse(cluster);
      return { kind: 'client', url, ...ready, ...view, why };
    }
    const { self, members } = node.data;
    const cache = nodeCache.parse(await ask(`${url}/api/v1/cache`));
    return {
      kind: 'node',
      url,
      ...ready,
      name: self.name,
      members: members.length + 1,
      lag: Math.max(0, ...members.map(({ lag }) => lag)),
      others: members.map(({ lag: _, ...other }) => other),
      keys: self.keys,
      ...cache,
    };
  } catch (error) {
    return { kind: 'silent', url, reason: silence(error) };
  }
}

async function ask(url: string): Promise<unknown> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  return answer.json();
}

function silence(error: unknown): string {
  if (error instanceof z.ZodError || error instanceof SyntaxError) return 'not an Argyle endpoint';
  return error instanceof Error && error.name === 'TimeoutError' ? 'no answer' : 'nothing listens';
}
