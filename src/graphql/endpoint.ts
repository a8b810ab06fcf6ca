import type { IncomingMessage } from 'node:http';
import type { ApolloServer, GraphQLRequest } from '@apollo/server';
import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import type { GraphQLFormattedError } from 'graphql';
import Negotiator from 'negotiator';
import type { RequestContext } from './apollo.js';
import type { Config } from '../config/config.js';
import { ContactPhoneService } from '../contact-phone/contact-phone.service.js';
import type { PhoneChanges } from '../contact-phone/phone-changes.js';
import { PhoneReader } from '../contact-phone/phone-reader.js';
import { unsafeInteger } from '../contact-phone/validation.js';
import type { ZitadelAnswer } from '../errors.js';
import { graphqlPath } from '../http/http-server.js';
import { refuse } from '../http/refusals.js';
import type { Limits } from '../limits/limits.js';
import { maxAnswerBytes } from './query-cost.js';
import type { RequestRecord } from '../telemetry/request-record.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/caller.js';

/** What all requests share. */
interface Shared {
  apollo: ApolloServer<RequestContext>;
  zitadel: ZitadelClient;
  limits: Limits;
  changes: PhoneChanges;
  sms: Config['sms'];
}

/**
 * Serves `POST /graphql`. Accepting only `application/json` is enough to prevent cross-site request forgery: for that type, and for
 * `Authorization`, browsers send a preflight request first.
 *
 * @param hooks run before the body is read
 */
export function serveGraphQL(app: FastifyInstance, hooks: readonly onRequestHookHandler[], shared: Shared): void {
  app.post(graphqlPath, { onRequest: [...hooks, negotiate] }, async ({ body, raw, record }, reply) => {
    if (!isParameters(body)) return refuse(reply, 400, invalidParameters);
    // Once before executing, and once before answering.
    await restOfTurn();
    // Every GraphQL request has a record.
    const context = createContext(raw, record as RequestRecord, shared);
    const answer = await execute(shared.apollo, body, context);
    await restOfTurn();
    return reply.code(answer.httpStatus).send(answer.json);
  });
}

let waiting: Promise<void> | undefined;

/** Lets all requests of this turn of the event loop continue together, which takes less CPU time: see bench/README.md. */
function restOfTurn(): Promise<void> {
  return (waiting ??= new Promise((resolve) => {
    setImmediate(() => {
      waiting = undefined;
      resolve();
    });
  }));
}

const json = 'application/json; charset=utf-8';
const mediaTypes = [json, 'application/graphql-response+json; charset=utf-8'];

/** Results by `Accept` header: clients use few different ones, and parsing is slow. */
const chosen = new Map<string, string | undefined>();
const maxChosen = 100;

/** Negotiates the media type of the response. Answers 406 before doing any work. */
const negotiate: onRequestHookHandler = ({ headers: { accept } }, reply, done) => {
  const mediaType = accept ? mediaTypeFor(accept) : json;
  if (mediaType === undefined) {
    refuse(reply, 406);
    return;
  }
  reply.header('content-type', mediaType);
  done();
};

function mediaTypeFor(accept: string): string | undefined {
  if (chosen.has(accept)) return chosen.get(accept);
  const mediaType = new Negotiator({ headers: { accept } }).mediaType(mediaTypes);
  if (chosen.size < maxChosen) chosen.set(accept, mediaType);
  return mediaType;
}

/** https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters */
interface GraphQLParameters {
  query?: string | null;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
  extensions?: Record<string, unknown> | null;
}

const invalidParameters =
  'The body must be one GraphQL request: an object with `query` as a string, and optionally `variables` and `extensions` as objects.';

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

/** Must never throw: Apollo Server would answer HTTP 500, which gateways retry. */
function createContext(
  request: IncomingMessage,
  record: RequestRecord,
  { zitadel, limits, changes, sms }: Shared,
): RequestContext {
  const caller = callerOf(request, record);
  const phones = new PhoneReader(zitadel, limits, caller);
  return { phones, contactPhone: new ContactPhoneService(zitadel, limits, changes, phones, sms), record };
}

/**
 * ZITADEL's REST gateway answers HTTP 500 to any other character in a header that it forwards, before it checks the token.
 * https://grpc.io/docs/guides/metadata/
 */
const printableAscii = /^[\x20-\x7e]+$/;

/** @returns undefined if the request has no `Authorization` that could contain a token */
function callerOf({ headers, socket }: IncomingMessage, { watchCall }: RequestRecord): Caller | undefined {
  const { authorization = '' } = headers;
  if (!printableAscii.test(authorization)) return undefined;
  // Node joins repeated headers into one string, but its types only say so for common headers.
  const optional = (name: string) => {
    const value = headers[name] as string | undefined;
    return value !== undefined && printableAscii.test(value) ? value : undefined;
  };
  return {
    headers: {
      authorization,
      'accept-language': optional('accept-language'),
      traceparent: optional('traceparent'),
      tracestate: optional('tracestate'),
    },
    watchCall,
    isGone: () => socket.destroyed,
  };
}

/** Executes one operation. GraphQL errors are part of the answer; it throws only for a fault of this server. */
async function execute(
  apollo: ApolloServer<RequestContext>,
  { query, operationName, variables, extensions }: GraphQLParameters,
  contextValue: RequestContext,
): Promise<{ httpStatus: number; json: string }> {
  if (variables) replaceUnsafeIntegers(variables);
  // Apollo Server treats null as omitted, but its types do not say so.
  const request = { query, operationName, variables, extensions } as GraphQLRequest;
  const response = await apollo.executeOperation(request, { contextValue });
  const { body } = response;
  if (body.kind !== 'single') throw new Error('Unexpected incremental answer: graphql 16 does not support @defer.');
  const { errors, data } = body.singleResult;
  return { httpStatus: response.http.status ?? 200, json: writeAnswer(errors, data) };
}

/**
 * Replaces every integer that JavaScript may have rounded. `JSON.parse` turns `301000000000000101` into 301000000000000100, which is
 * another user's id.
 *
 * @param variables as they were parsed; changed in place
 */
function replaceUnsafeIntegers(variables: Record<string, unknown>): void {
  // No recursion: deeply nested JSON would overflow the stack. Arrays are walked like objects.
  const pending: Record<string, unknown>[] = [variables];
  for (let values = pending.pop(); values; values = pending.pop()) {
    for (const key in values) {
      const value = values[key];
      if (typeof value === 'object' && value !== null) pending.push(value as Record<string, unknown>);
      else if (Number.isInteger(value) && !Number.isSafeInteger(value)) values[key] = unsafeInteger;
    }
  }
}

/**
 * Serialises an answer. If it is too large, omits ZITADEL's status, message and details from all errors: thousands of users may repeat them.
 * ZITADEL's code and id stay. No error is ever omitted, because null without an error means that the user has no phone.
 */
function writeAnswer(errors: readonly GraphQLFormattedError[] | undefined, data: unknown): string {
  // Errors first: https://spec.graphql.org/October2021/#note-6f005
  const body = `${JSON.stringify({ errors, data })}\n`;
  if (!errors || Buffer.byteLength(body) <= maxAnswerBytes) return body;
  return `${JSON.stringify({ errors: errors.map(withoutText), data })}\n`;
}

function withoutText(error: GraphQLFormattedError): GraphQLFormattedError {
  const zitadel = error.extensions?.['zitadel'] as ZitadelAnswer | undefined;
  if (!zitadel) return error;
  const { code, httpStatus, id } = zitadel;
  return { ...error, extensions: { ...error.extensions, zitadel: { code, httpStatus, id } } };
}
