import { setImmediate as restOfTurn } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { acceptsAnswer } from './accept.js';
import { refuse } from './refusal.js';

/** https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters */
export interface GraphQLParameters {
  query?: string | null;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
  extensions?: Record<string, unknown> | null;
}

const noParameters =
  'The body must be one GraphQL request: an object with a string as `query`, and if any, objects as `variables` and `extensions`.';

function isParameters(body: unknown): body is GraphQLParameters {
  if (!isMap(body)) return false;
  const { query, operationName, variables, extensions } = body;
  return (
    (query == null || typeof query === 'string') &&
    (operationName == null || typeof operationName === 'string') &&
    (variables == null || isMap(variables)) &&
    (extensions == null || isMap(extensions))
  );
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface GraphQLAnswer {
  httpStatus: number;
  /** A GraphQL response, as JSON. */
  body: string;
}

/**
 * Serves `POST /graphql`. It needs no other guard against forged requests of a browser than its one media type, `application/json`:
 * for that, and for `Authorization`, a browser asks first.
 *
 * @param hooks run before anything of the body is read
 */
export function serveGraphQL(
  app: FastifyInstance,
  hooks: readonly onRequestHookHandler[],
  execute: (parameters: GraphQLParameters, request: FastifyRequest) => Promise<GraphQLAnswer>,
): void {
  app.post('/graphql', { onRequest: [...hooks, acceptsAnswer] }, async (request, reply) => {
    if (!isParameters(request.body)) return refuse(reply, 400, noParameters);
    // Under load, all that came in during this turn of the event loop is carried out together, and all that is ready is sent together:
    // a fifth less CPU than one by one in the bench, whose README tells what part a network would not share.
    await restOfTurn();
    const { httpStatus, body } = await execute(request.body, request);
    await restOfTurn();
    return reply.code(httpStatus).send(body);
  });
}
