import { destination as sonicBoom, pino, type DestinationStream, type Logger } from 'pino';
import type { LogConfig } from './config.js';
import { summariseError } from './error-summary.js';

export type { Logger };

/**
 * The only logger: JSON lines, or a format for people. Tokens, verification codes and phone numbers must never be logged: errors are
 * reduced to a summary, and fields that could contain a secret are redacted.
 *
 * @param destination where to write instead of standard output
 */
export async function createLogger(
  { level, format }: LogConfig,
  destination: DestinationStream = sonicBoom(),
): Promise<Logger> {
  const secret = ['authorization', 'headers', 'variables', 'verificationCode', 'phone'];
  return pino(
    {
      level,
      serializers: { err: summariseError },
      redact: [...secret, ...secret.map((field) => `*.${field}`)],
    },
    format === 'pretty' ? await forPeople(destination) : destination,
  );
}

/** The fields of a request's log line that the format for people leaves out. */
const ofRequests =
  'requestId,operation,kind,field,code,errors,zitadelErrorId,userId,users,upstreamCalls,upstreamMs,totalMs,httpStatus';

/** Loaded only if needed. */
async function forPeople(destination: DestinationStream): Promise<DestinationStream> {
  const { prettyFactory } = await import('pino-pretty');
  const prettify = prettyFactory({
    ignore: `pid,hostname,${ofRequests}`,
    translateTime: 'SYS:HH:MM:ss',
    messageFormat({ msg, operation, field, code, zitadelErrorId, totalMs }) {
      if (code === undefined) return String(msg);
      return [operation ?? field ?? msg, code, zitadelErrorId, `in ${Number(totalMs).toFixed()} ms`]
        .filter(Boolean)
        .join(' ');
    },
  });
  return { write: (line) => destination.write(prettify(line)) };
}
