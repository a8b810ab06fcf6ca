import type { Logger } from '../logger.js';
import type { RequestRecord } from './request-record.js';

/** A person may type a phone number or an e-mail address where an id belongs. */
const safeId = /^(?![\d-]{7,17}$)[\w-]{1,64}$/;
/** Such as `COMMAND-ieJ2e`. Whatever answers in ZITADEL's place may put anything there. */
const errorId = /^[A-Z]{2,20}-[\da-z]{1,20}$|^[A-Z]{2,20}$/i;

/** One line for a request. Each field is made here, and none of a secret: to look for one in each took longer than all the rest. */
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

/** Who has to do something about it: nobody, whoever runs what is around this server, or we. */
function levelOf(code: string, hasCause: boolean): 'info' | 'warn' | 'error' {
  if (code === 'INTERNAL_SERVER_ERROR') return 'error';
  return hasCause ? 'warn' : 'info';
}

/** To microseconds. */
const round = (ms: number) => Math.round(ms * 1000) / 1000;
