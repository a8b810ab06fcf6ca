import { pino, type DestinationStream, type Logger } from 'pino';
import type { LogConfig } from './config.js';

export type { Logger };

/**
 * The one logger: a JSON line each, or what a person likes to read. Tokens, verification codes and phone numbers have no place in it:
 * errors are reduced to what names them, and fields that could hold a secret are cut.
 *
 * @param destination in place of standard output
 */
export async function createLogger({ level, format }: LogConfig, destination?: DestinationStream): Promise<Logger> {
  const secret = ['authorization', 'headers', 'variables', 'verificationCode', 'phone'];
  return pino(
    {
      level,
      serializers: { err: summarise },
      redact: [...secret, ...secret.map((field) => `*.${field}`)],
    },
    format === 'pretty' ? await forPeople(destination) : destination,
  );
}

/** What the line of a request holds beside what a person is told of it. */
const ofRequests =
  'requestId,operation,kind,field,code,errors,zitadelErrorId,userId,users,upstreamCalls,upstreamMs,totalMs,httpStatus';

/** Loaded only where it is wanted. */
async function forPeople(destination?: DestinationStream): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  return pretty({
    ...(destination && { destination }),
    sync: true,
    ignore: `pid,hostname,${ofRequests}`,
    translateTime: 'SYS:HH:MM:ss',
    messageFormat({ msg, operation, field, code, zitadelErrorId, totalMs }) {
      if (code === undefined) return String(msg);
      return [operation ?? field ?? msg, code, zitadelErrorId, `in ${Number(totalMs).toFixed()} ms`]
        .filter(Boolean)
        .join(' ');
    },
  });
}

interface ErrorSummary {
  type: string;
  message: string;
  stack: string | undefined;
  cause?: ErrorSummary;
  errors?: ErrorSummary[];
}

/** Only the fields that every error has: others may hold a request, a document or its variables. */
function summarise(error: unknown): ErrorSummary {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error', stack: undefined };
  const { name, message, stack, cause } = error;
  return {
    type: name,
    message,
    stack,
    ...(cause !== undefined && { cause: summarise(cause) }),
    ...(error instanceof AggregateError && { errors: error.errors.map(summarise) }),
  };
}
