import type { Logger } from '../logger.js';
import type { RequestRecord } from './request-record.js';

/** Excludes phone numbers and e-mail addresses, which people may type in place of an id. */
const safeId = /^(?![\d-]{7,17}$)[\w-]{1,64}$/;
/** Such as `COMMAND-ieJ2e`. Something other than ZITADEL could put anything there. */
const errorId = /^[A-Z]{2,20}-[\da-z]{1,20}$|^[A-Z]{2,20}$/i;

/** Logs one line per request. No field here can hold a secret, so redaction is off: it would take longer than everything else. */
export function createRequestLog(logger: Logger): (record: RequestRecord) => void {
  const unredacted = logger.child({}, { redact: [] });
  return (record) => {
    const { id, operation, code, errors, userIds, calls, upstreamMs, totalMs, httpStatus } = record;
    const causes = causesOf(record);
    const [userId] = userIds;
    const line = {
      requestId: id,
      operation: operation?.name,
      kind: operation?.kind,
      field: operation?.field,
      code,
      errors: errors.length > 1 ? errors.length : undefined,
      zitadelErrorId: errors.find(({ zitadelErrorId = '' }) => errorId.test(zitadelErrorId))?.zitadelErrorId,
      userId: userIds.size === 1 && userId !== undefined && safeId.test(userId) ? userId : undefined,
      users: userIds.size > 1 ? userIds.size : undefined,
      upstreamCalls: calls.length,
      upstreamMs: round(upstreamMs),
      totalMs: round(totalMs),
      httpStatus,
      err: causes.length > 1 ? new AggregateError(causes.slice(0, 5), `${causes.length} causes`) : causes[0],
    };
    unredacted[levelOf(code, causes.length > 0)](line, 'request');
  };
}

function causesOf({ errors }: RequestRecord): unknown[] {
  return [...new Set(errors.map(({ cause }) => cause))].filter((cause) => cause !== undefined);
}

/** By who has to act: nobody (info), the operator of ZITADEL or the network (warn), or the developers of this server (error). */
function levelOf(code: string, hasCause: boolean): 'info' | 'warn' | 'error' {
  if (code === 'INTERNAL_SERVER_ERROR') return 'error';
  return hasCause ? 'warn' : 'info';
}

/** To microseconds. */
const round = (ms: number) => Math.round(ms * 1000) / 1000;
