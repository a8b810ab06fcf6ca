import { isIP } from 'node:net';

/** The parts of an error that are logged. */
export interface ErrorSummary {
  type: string;
  message: string;
  stack: string | undefined;
  cause?: ErrorSummary;
  errors?: ErrorSummary[];
}

const maxText = 300;
/** Only this many characters are processed: a message may quote a whole request. */
const maxRead = 4_000;
/** Limits nested causes. An error may even be its own cause. */
const maxDepth = 5;
const maxErrors = 5;

/** Keeps only the fields that every error has. Other fields may contain a request, a document or its variables. */
export function summariseError(error: unknown, depth = 1): ErrorSummary {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error', stack: undefined };
  const { cause } = error;
  const isDeep = depth >= maxDepth;
  return {
    type: nameOf(error),
    message: messageOf(error),
    stack: stackOf(error),
    ...(cause !== undefined && !isDeep && { cause: summariseError(cause, depth + 1) }),
    ...(error instanceof AggregateError &&
      !isDeep && { errors: error.errors.slice(0, maxErrors).map((one) => summariseError(one, depth + 1)) }),
  };
}

/** The message of an error with `isForLog` contains no secrets, but may contain a host name that looks like one. */
function messageOf(error: Error): string {
  return 'isForLog' in error ? error.message : withoutSecrets(error.message);
}

/** The message of an unexpected error may quote anything: JSON.parse, for one, quotes its input. */
export function withoutSecrets(text: unknown): string {
  const clean = String(text)
    .slice(0, maxRead)
    .replace(/\b(Bearer|Basic)\s+[^\s"',]+/gi, '…')
    // JSON.parse and Node.js quote their input.
    .replace(/^([^"]*)".*"(?= is not valid JSON)/s, '$1"…"')
    .replace(/(?<=\bReceived ).*/s, '…')
    .replace(/[\w~+=-]{24,}/g, (word) => (/\d/.test(word) || word.length >= 40 ? '…' : word))
    .replace(/[+\d][\d\s().-]*\d/g, (digits) => (isPhoneNumberLike(digits) ? '…' : digits))
    // Control characters could end the line, or move the cursor of a terminal.
    .replace(/[\p{Cc}\u2028\u2029]/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return clean.length > maxText ? `${clean.slice(0, maxText)}…` : clean;
}

/** ZITADEL's ids are longer, and IP addresses have dots. */
function isPhoneNumberLike(digits: string): boolean {
  const length = digits.replace(/\D/g, '').length;
  return length >= 7 && isIP(digits) === 0 && !/^\d{18,20}$/.test(digits);
}

function nameOf({ name }: Error): string {
  return /^\w{1,100}$/.test(name) ? name : 'Error';
}

/** The stack frames, after the cleaned message. */
function stackOf(error: Error): string | undefined {
  const { message, stack } = error;
  if (typeof stack !== 'string') return undefined;
  const afterMessage = stack.includes(message) ? stack.slice(stack.indexOf(message) + message.length) : stack;
  const frames = afterMessage.split('\n').filter((line) => /^ {4}at .{1,300}$/.test(line));
  return [`${nameOf(error)}: ${messageOf(error)}`, ...frames].join('\n');
}
