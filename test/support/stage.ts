import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '../../src/config/config.js';
import { startEmbeddedZitadel, type EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { tokens, users } from '../../src/embedded-zitadel/population.js';
import type { ErrorExtensions } from '../../src/errors.js';
import { startServer } from '../../src/server.js';

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
export const manager = bearer(tokens.manager.token);
export const unverified = users.unverified.userId;

export type Phone = { number: string; isVerified: boolean; resendAvailableAt?: string | null } | null;
interface ChangeResult {
  user: { id: string; contactPhone: Phone };
}
interface CodeResult extends ChangeResult {
  verificationCode: string | null;
}
interface Details {
  details: { sequence: string; changeDate: string; resourceOwner: string };
}

/** The API of ZITADEL that the stories use. */
export const zitadelApi = process.env['TEST_ZITADEL_API'] ?? 'rest';

/** The answers to the example operations, by file name. */
export interface OperationData {
  'contact-phone': { contactPhoneUser: ChangeResult['user'] | null };
  'set-contact-phone': { setContactPhone: CodeResult | null };
  'resend-contact-phone-code': { resendContactPhoneCode: (CodeResult & Details) | null };
  'verify-contact-phone': { verifyContactPhone: ChangeResult | null };
  'remove-contact-phone': { removeContactPhone: ChangeResult | null };
}
export type OperationName = keyof OperationData;

interface ResendData {
  resendContactPhoneCode: (Details & { verificationCode: string | null; resendAvailableAt: string | null }) | null;
}

export interface GraphQLAnswer<Data = ResendData> {
  status: number;
  headers: Headers;
  text: string;
  data: Data | null | undefined;
  errors: { message: string; path?: (string | number)[]; extensions: ErrorExtensions }[] | undefined;
}

/** The extensions of every error; undefined if there is none. */
export const extensionsOf = ({ errors }: Pick<GraphQLAnswer<unknown>, 'errors'>) =>
  errors?.map(({ extensions }) => extensions);

/** Posts JSON to a GraphQL endpoint. A string is sent unchanged. */
export async function post<Data>(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
  signal: AbortSignal | null = null,
): Promise<GraphQLAnswer<Data>> {
  const response = await fetch(url, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const { data, errors } = JSON.parse(text) as Pick<GraphQLAnswer<Data>, 'data' | 'errors'>;
  return { status: response.status, headers: response.headers, text, data, errors };
}

/** Runs an example operation, by default as the manager. */
export function run<Name extends OperationName>(
  graphql: string,
  name: Name,
  variables: Record<string, unknown>,
  headers: Record<string, string> = manager,
  signal?: AbortSignal,
): Promise<GraphQLAnswer<OperationData[Name]>> {
  const query = readFileSync(`schema/operations/${name}.graphql`, 'utf8');
  return post(graphql, { query, variables }, headers, signal);
}

/** Unlike the example operation, it does not read the user after the change. */
const resendDocument = `mutation ResendContactPhoneCode($userId: ID!, $mode: PhoneCodeMode! = SEND_CODE) {
  resendContactPhoneCode(userId: $userId, mode: $mode) {
    details { sequence changeDate resourceOwner }
    verificationCode
    resendAvailableAt
  }
}`;

/** Resends a code, by default as the manager for the unverified user. */
export function resend(
  url: string,
  variables: Record<string, unknown> = {},
  headers: Record<string, string> = manager,
  signal?: AbortSignal,
): Promise<GraphQLAnswer> {
  const all = { userId: unverified, ...variables };
  return post(`${url}/graphql`, { query: resendDocument, variables: all }, headers, signal);
}

/** Saves to the log folder what was logged, and what must not appear in any log. */
export function leaveForLogTest(lines: string[], zitadel?: EmbeddedZitadel): void {
  const path = join(process.env['TEST_LOG_FOLDER'] ?? '', randomUUID());
  writeFileSync(`${path}.log`, lines.join(''));
  if (zitadel) writeFileSync(`${path}.secrets`, JSON.stringify(zitadel.codes));
}

/** The subgraph over real sockets, in front of an embedded ZITADEL unless the environment specifies another upstream. */
export async function openStage(
  env: Record<string, string> = {},
  options: Parameters<typeof startEmbeddedZitadel>[0] = {},
) {
  const zitadel = await startEmbeddedZitadel(options);
  const lines: string[] = [];
  const all = {
    HOST: '127.0.0.1',
    PORT: '0',
    INTROSPECTION: 'true',
    LOG_LEVEL: 'trace',
    ZITADEL_URL: zitadel.url,
    ZITADEL_API: zitadelApi,
    // Most tests are not about limits, and send many SMS to one user.
    SMS_LIMITS: 'off',
    VERIFY_LIMIT: 'off',
    ...env,
  };
  const server = await startServer(readConfig(all), { logTo: { write: (line) => void lines.push(line) } });
  return {
    zitadel,
    url: server.url,
    graphql: `${server.url}/graphql`,
    metricsUrl: server.metricsUrl,
    /** The RPCs of the calls to ZITADEL so far, in order. */
    rpcs: () => zitadel.calls.map(({ rpc }) => rpc),
    /** The log lines so far. */
    lines,
    run: <Name extends OperationName>(
      name: Name,
      variables: Record<string, unknown>,
      headers?: Record<string, string>,
    ) => run(`${server.url}/graphql`, name, variables, headers),
    resend: (variables?: Record<string, unknown>, headers?: Record<string, string>, signal?: AbortSignal) =>
      resend(server.url, variables, headers, signal),
    /** Rotates to the secrets in these variables. */
    rotate: (changed: Record<string, string>) => server.rotate(readConfig({ ...all, ...changed })),
    /** Closes the subgraph early. Disposing of the stage closes it again, and everything else. */
    closeServer: () => server[Symbol.asyncDispose](),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await zitadel[Symbol.asyncDispose]();
      leaveForLogTest(lines, zitadel);
    },
  };
}
