import { pino, type DestinationStream, type Logger } from 'pino';
import type { LogLevel } from './config.js';

export type { Logger };

/**
 * The one logger: a JSON line each. Tokens, verification codes and phone numbers have no place in it: errors are reduced to what
 * names them, and fields that could hold a secret are cut.
 */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const secret = ['authorization', 'headers', 'variables', 'verificationCode', 'phone'];
  return pino(
    {
      level,
      serializers: { err: summarise },
      redact: [...secret, ...secret.map((field) => `*.${field}`)],
    },
    destination,
  );
}

interface ErrorSummary {
  type: string;
  message: string;
  stack: string | undefined;
  cause?: ErrorSummary;
}

/** Only the fields that every error has: others may hold a request, a document or its variables. */
function summarise(error: unknown): ErrorSummary {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error', stack: undefined };
  const { name, message, stack, cause } = error;
  return { type: name, message, stack, ...(cause !== undefined && { cause: summarise(cause) }) };
}
