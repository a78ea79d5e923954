import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { listenError } from './admin-error.ts';
import { isLoopback, namesAddress } from './host-header.ts';
import { indexPage } from './index-page.ts';
import { Metrics } from './metrics.ts';
import type { AdminSource } from './snapshot.ts';

export interface AdminOptions {
  readonly source: AdminSource;
  /** Port 0 picks one. */
  readonly listen: AdminEndpoint;
  readonly log: AdminLog;
}

export interface AdminEndpoint {
  readonly address: string;
  readonly port: number;
}

export interface AdminLog {
  error(fields: object, message: string): void;
}

/** Rows that a view shows when the request does not say. */
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 10_000;
/** Requests are bare GETs: a line and a few headers. */
const HEADER_BYTES_MAX = 8_192;
const BODY_BYTES_MAX = 1_024;
const CONNECTIONS_MAX = 256;
const REQUEST_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;
/** How often Node looks for requests that are late. */
const CHECK_MS = 1_000;

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** The HTTP endpoint of one process. It only reads: nothing behind it changes anything. */
export class Admin {
  readonly #options: AdminOptions;
  readonly #server: FastifyInstance;
  readonly #metrics: Metrics;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#metrics = new Metrics(() => options.source.metrics());
    this.#server = fastify({
      logger: false,
      bodyLimit: BODY_BYTES_MAX,
      requestTimeout: REQUEST_MS,
      connectionTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      forceCloseConnections: true,
      ajv: { customOptions: { removeAdditional: false } },
      http: { maxHeaderSize: HEADER_BYTES_MAX, connectionsCheckingInterval: CHECK_MS },
    });
    this.#server.server.maxConnections = CONNECTIONS_MAX;
    this.#guard();
    this.#health();
    this.#views();
  }

  /** Where it listens. Rejects with an AdminError. */
  async listen(): Promise<AdminEndpoint> {
    const { address, port } = this.#options.listen;
    try {
      await this.#server.listen({ host: address, port });
    } catch (error) {
      throw listenError(address, port, error);
    }
    const bound = this.#server.addresses()[0] as AddressInfo | undefined;
    assert(bound, 'a listening server has an address');
    return { address: bound.address, port: bound.port };
  }

  /** Ends open connections too. */
  async close(): Promise<void> {
    await this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #guard(): void {
    const loopback = isLoopback(this.#options.listen.address);
    this.#server.addHook('onRequest', async (request, reply) => {
      reply.headers(HEADERS);
      if (loopback && !namesAddress(request.headers.host))
        return reply.code(421).send({ error: 'the Host header must be an address or localhost' });
    });
    this.#server.setNotFoundHandler((_request, reply) =>
      reply.code(404).send({ error: 'no such path; / lists them' }),
    );
    this.#server.setErrorHandler((error: FastifyError, request, reply) => {
      const { statusCode = 500 } = error;
      if (statusCode < 500) return reply.code(statusCode).send({ error: error.message });
      this.#options.log.error(
        {
          event: 'admin-error',
          path: request.routeOptions.url,
          error: error.name,
          at: frame(error),
        },
        'an admin request failed',
      );
      return reply.code(500).send({ error: 'internal error; the log says more' });
    });
  }

  #health(): void {
    const { source } = this.#options;
    this.#server.get('/healthz', () => ({ status: 'ok' }));
    this.#server.get('/readyz', (_request, reply) => {
      const { ready, reason } = source.readiness();
      return reply.code(ready ? 200 : 503).send({ ready, reason });
    });
    this.#server.get('/metrics', async (_request, reply) => {
      const text = await this.#metrics.text();
      return reply.type(this.#metrics.contentType).send(text);
    });
  }

  #views(): void {
    const views = Object.entries(this.#options.source.views);
    const limit = { type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT };
    const schema = {
      querystring: { type: 'object', properties: { limit }, additionalProperties: false },
    };
    for (const [name, view] of views) {
      assert.match(name, /^[a-z][a-z-]*$/, 'a view is named by a path segment');
      this.#server.get<{ Querystring: { limit: number } }>(
        `/api/v1/${name}`,
        { schema },
        (request, reply) =>
          reply
            .type('application/json; charset=utf-8')
            .send(JSON.stringify(view({ limit: request.query.limit }))),
      );
    }
    const page = indexPage(views.map(([name]) => `/api/v1/${name}`));
    this.#server.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(page));
  }
}

/** Where it was thrown. Its message may quote what it was about, so that stays out of the log. */
function frame(error: Error): string {
  return /^ +at (.*)$/m.exec(error.stack ?? '')?.[1] ?? 'unknown';
}
