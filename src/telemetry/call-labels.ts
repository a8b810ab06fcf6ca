import type { ErrorCode } from '../errors.js';
import type { FailedCall, Rpc } from '../failure.js';
import { failedCall } from '../failures.js';
import type { RecordedCall } from './request-record.js';

// The labels of calls to ZITADEL in the metrics: a closed list, so that every series can be served from the start.

export const rpcs: readonly Rpc[] = [
  'GetUserByID',
  'ListUsers',
  'SetPhone',
  'ResendPhoneCode',
  'VerifyPhone',
  'RemovePhone',
];

/** The HTTP statuses of ZITADEL for each google.rpc.Code, from 1 on. */
// prettier-ignore
const ofZitadel = [[499], [500], [400], [504], [404], [409], [403], [429], [400], [409], [400], [405, 501], [500], [503], [500], [401]];
/** ZITADEL's error ids that change the meaning of an error, and none. */
const ids = [undefined, 'COMMAND-ieJ2e', 'COMMAND-eis9R', 'AUTHZ-cdgFk', 'AUTH-Bs7Ds'];
/** The HTTP statuses that proxies, load balancers and firewalls answer with. */
// prettier-ignore
const ofProxies = [
  200, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 421, 429, 431,
  499, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530,
];

/** Every way in which a call can fail, without its RPC. */
const failures: readonly Omit<FailedCall, 'rpc'>[] = [
  ...(['timeout', 'unreachable', 'full', 'malformed'] as const).map((kind) => ({ kind, sent: true })),
  { kind: 'malformed', sent: true, httpStatus: 200 },
  ...ofProxies.map((httpStatus) => ({ kind: 'foreign' as const, sent: true, httpStatus })),
  ...ofZitadel.flatMap((statuses, index) =>
    statuses.flatMap((httpStatus) =>
      ids.map((id) => ({ kind: 'rejected' as const, sent: true, httpStatus, code: index + 1, ...(id && { id }) })),
    ),
  ),
];

interface Labels {
  rpc: Rpc;
  status: string;
  code: ErrorCode | 'OK';
}

const known = new Map<string, Labels>();
for (const rpc of rpcs) {
  add({ rpc, status: '200', code: 'OK' });
  // A fault of this server.
  add({ rpc, status: 'none', code: 'INTERNAL_SERVER_ERROR' });
  for (const call of failures) {
    const { code } = failedCall({ rpc, ...call }).verdict;
    add({ rpc, status: String(call.httpStatus ?? 'none'), code });
  }
}
for (const rpc of rpcs) {
  const codes = new Set([...known.values()].map(({ code }) => code));
  for (const code of codes) add({ rpc, status: 'other', code });
}

function add(labels: Labels): void {
  known.set(keyOf(labels), labels);
}

function keyOf({ rpc, status, code }: Labels): string {
  return `${rpc} ${status} ${code}`;
}

/** All that `callLabels` can return. */
export const allCallLabels: readonly Labels[] = [...known.values()];

/** `status` is `none` without an answer, and `other` if ZITADEL and proxies are not known to give this status for this code. */
export function callLabels({ rpc, httpStatus, code }: Pick<RecordedCall, 'rpc' | 'httpStatus' | 'code'>): Labels {
  const labels = { rpc, status: String(httpStatus ?? 'none'), code };
  return known.get(keyOf(labels)) ?? { ...labels, status: 'other' };
}
