import { destination as sonicBoom, pino, type DestinationStream, type Logger } from 'pino';
import type { LogConfig } from './config.js';
import { summariseError } from './error-summary.js';

export type { Logger };

/**
 * The one logger: a JSON line each, or what a person likes to read. Tokens, verification codes and phone numbers have no place in it:
 * errors are reduced to what names them, and fields that could hold a secret are cut.
 *
 * @param destination in place of standard output
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

/** What the line of a request holds beside what a person is told of it. */
const ofRequests =
  'requestId,operation,kind,field,code,errors,zitadelErrorId,userId,users,upstreamCalls,upstreamMs,totalMs,httpStatus';

/** Loaded only where it is wanted. */
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
