import type { FastifyInstance } from 'fastify';
import { refusedRequest } from '../failures.js';
import type { Logger } from '../logger.js';
import type { CallObserver, RequestRecord } from './request-record.js';

/** Excludes phone numbers and e-mail addresses, which people may type instead of an id. */
const safeId = /^(?![\d-]{7,17}$)[\w-]{1,64}$/;
/** Such as `COMMAND-ieJ2e`. If something other than ZITADEL answers, the id could be anything. */
const errorId = /^(?!.*\d{7})[A-Z]{2,20}(-[\da-z]{1,20})?$/i;

/** Logs one line per request. No field here can hold a secret, so redaction is off: it would take longer than everything else. */
export function createRequestLog(logger: Logger): (record: RequestRecord) => void {
  const unredacted = logger.child({}, { redact: [] });
  return (record) => {
    const { id, trace, operation, failure, failures, code, userIds, calls, upstreamMs, totalMs, httpStatus } = record;
    const severe = failures.filter(({ level }) => level !== 'info');
    const causes = [...new Set(severe.map(({ cause }) => cause))].filter((cause) => cause !== undefined);
    const ids = failures.map(({ facts }) => facts.zitadel?.id);
    const [userId] = userIds;
    const isRefusal = code === 'BAD_REQUEST' || code === 'ROUTER_SECRET_MISSING';
    const line = {
      requestId: id,
      trace_id: trace?.traceId,
      span_id: trace?.spanId,
      method: isRefusal ? record.method : undefined,
      path: isRefusal ? record.path : undefined,
      operation: operation?.name,
      kind: operation?.kind,
      field: operation?.field,
      code,
      reason: failure?.verdict.reason,
      outcome: failure?.facts.outcome,
      // Messages with these codes quote nothing, while those about a document quote its names.
      refusal: isRefusal ? failure?.message : undefined,
      errors: failures.length > 1 ? failures.length : undefined,
      zitadelErrorId: ids.find((one = '') => errorId.test(one)),
      userId: userIds.size === 1 && userId !== undefined && safeId.test(userId) ? userId : undefined,
      users: userIds.size > 1 ? userIds.size : undefined,
      upstreamCalls: calls.length,
      upstreamMs: round(upstreamMs),
      totalMs: round(totalMs),
      httpStatus,
      err: causes.length > 1 ? summaryOf(causes) : causes[0],
    };
    unredacted[failure?.level ?? 'info'](line, 'request');
  };
}

/** Logs each call to ZITADEL at the level `debug`. @returns undefined if that level is off */
export function createCallLog(logger: Logger): CallObserver | undefined {
  if (!logger.isLevelEnabled('debug')) return undefined;
  return ({ id, trace }, { rpc, attempt, httpStatus, code, ms }, failure) => {
    const line = {
      requestId: id,
      trace_id: trace?.traceId,
      span_id: trace?.spanId,
      rpc,
      attempt,
      httpStatus,
      code,
      reason: failure?.verdict.reason,
      outcome: failure?.facts.outcome,
      ms: round(ms),
    };
    logger.debug(line, 'Call to ZITADEL');
  };
}

/** Its own stack would only point here. */
function summaryOf(causes: readonly unknown[]): AggregateError {
  const summary = new AggregateError(causes.slice(0, 5), `${causes.length} causes`);
  delete summary.stack;
  return summary;
}

/** To microseconds. */
const round = (ms: number) => Math.round(ms * 1000) / 1000;

/** Records a fault of this server, for the log line of the request. If the request is not recorded, logs the fault on its own. */
export function recordFaults(app: FastifyInstance, logger: Logger): void {
  app.addHook('onError', ({ id, record }, _reply, error, done) => {
    const { statusCode = 500 } = error;
    // The plugin in apollo.ts records Apollo Server's own faults, and the error that follows says nothing about them.
    if (statusCode >= 500 && record?.code !== 'INTERNAL_SERVER_ERROR') {
      if (record) record.failures = [refusedRequest(statusCode, undefined, error)];
      else logger.error({ requestId: id, err: error }, 'Unexpected error');
    }
    done();
  });
}
