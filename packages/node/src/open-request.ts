import type { Socket } from 'node:net';
import type { Endpoint } from '@argyle/host';
import type { Admission } from './client-connection.ts';
import type { ReplyName } from './socks-reply.ts';
import type { SocksRequest } from './socks-request.ts';
import type { SocksContext } from './socks-session.ts';

/** Whoever made a request. */
export interface Asker {
  readonly admission: Admission;
  /** Whom limits count it against. */
  readonly address: string;
  /** Where its connection reached this node. */
  readonly localAddress: string;
  /** Aborts when it waits no longer. */
  readonly left: AbortSignal;
  /** Sends a reply; one that is no success is the last. */
  answer(reply: ReplyName, bound?: Endpoint): void;
}

type Context = Pick<SocksContext, 'dialer' | 'binder' | 'users' | 'counters'>;

/** Does what was asked for, and answers. The far end of the tunnel; undefined if there is none. */
export async function openRequest(
  context: Context,
  request: SocksRequest,
  asker: Asker,
): Promise<Socket | undefined> {
  if (request.command === 'connect') return connect(context, request, asker);
  if (request.command === 'bind') return bind(context, request, asker);
  return answer(context, asker, 'command-not-supported');
}

async function connect(
  context: Context,
  { destination, port }: SocksRequest,
  asker: Asker,
): Promise<Socket | undefined> {
  const who = whose(context, asker);
  const signal = asker.left;
  const result = await context.dialer.dial({
    ...who,
    ...{ command: 'connect', destination, port, signal },
  });
  if (result.kind === 'refused') return answer(context, asker, result.reply);
  const { localAddress = '0.0.0.0', localPort = 0 } = result.socket;
  answer(context, asker, 'succeeded', { address: localAddress, port: localPort });
  return result.socket;
}

/** RFC 1928 §6: the first reply says where the peer is to connect, the second who has. */
async function bind(
  context: Context,
  { destination, port }: SocksRequest,
  asker: Asker,
): Promise<Socket | undefined> {
  const { address, localAddress, left: signal } = asker;
  const result = await context.binder.bind({
    ...whose(context, asker),
    ...{ destination, port, address, localAddress, signal },
  });
  if (result.kind === 'refused') return answer(context, asker, result.reply);
  answer(context, asker, 'succeeded', result.endpoint);
  const meeting = await result.met;
  if (meeting.kind === 'timeout') asker.answer('host-unreachable');
  if (meeting.kind !== 'met') return undefined;
  asker.answer('succeeded', meeting.peer);
  return meeting.socket;
}

function whose({ users }: Context, { admission: { user } }: Asker) {
  return { user, groups: user === undefined ? [] : users.groups(user) };
}

/** The request's reply, which is counted. */
function answer(
  { counters }: Context,
  asker: Asker,
  reply: ReplyName,
  bound?: Endpoint,
): undefined {
  counters.replies.add([reply]);
  asker.answer(reply, bound);
}
