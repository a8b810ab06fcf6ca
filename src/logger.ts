import { isIP } from 'node:net';
import { nextTick } from 'node:process';
import type { Writable } from 'node:stream';
import { destination as sonicBoom, pino, type DestinationStream, type Logger } from 'pino';
import type { LogConfig } from './config/config.js';

// What is logged, and how it is written.

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
      formatters: { level: (name) => ({ level: name }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: summariseError, path: safePath },
      redact: [...secret, ...secret.map((field) => `*.${field}`)],
    },
    // Loaded only if needed.
    format === 'pretty' ? (await import('./pretty-log.js')).forPeople(destination) : destination,
  );
}

/** Lower-case words, as in the paths that routers and scanners try. Codes have capitals, phone numbers more digits, and tokens longer words. */
const harmlessPath = /^\/(?!(?:\D*\d){4})(?!.*[^/]{24})[a-z\d._/-]{0,63}$/;

/**
 * The path of a URL for logs and traces, without its query. Clients choose it, so it could contain anything.
 *
 * @returns `other` unless it is short and harmless
 */
export function safePath(url: string): string {
  const [path = ''] = url.split('?', 1);
  return harmlessPath.test(path) ? path : 'other';
}

const maxText = 300;
/** Only this many characters are processed: a message may quote a whole request. */
const maxRead = 4_000;
/** Limits nested causes. An error may even be its own cause. */
const maxDepth = 5;
const maxErrors = 5;

/**
 * Keeps only the fields that every error has. Other fields may contain a request, a document or its variables.
 *
 * @param isExpected whether it is about ZITADEL or the network, where no stack helps
 */
export function summariseError(error: unknown, depth = 1, isExpected = false): ErrorSummary {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error' };
  const { cause } = error;
  const isDeep = depth >= maxDepth;
  const hasNoStack = isExpected || 'isForLog' in error;
  const summarise = (inner: unknown) => summariseError(inner, depth + 1, hasNoStack);
  return {
    type: nameOf(error),
    ...codeOf(error),
    message: messageOf(error),
    ...(!hasNoStack && { stack: stackOf(error) }),
    ...(cause !== undefined && !isDeep && { cause: summarise(cause) }),
    ...(error instanceof AggregateError && !isDeep && { errors: error.errors.slice(0, maxErrors).map(summarise) }),
  };
}

/** The parts of an error that are logged. */
interface ErrorSummary {
  type: string;
  /** Of the system or of Node.js, such as `ECONNREFUSED`. */
  code?: string;
  message: string;
  stack?: string | undefined;
  cause?: ErrorSummary;
  errors?: ErrorSummary[];
}

/** Excludes verification codes. */
function codeOf(error: Error): { code?: string } {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(E[A-Z]{4,20}|[A-Z]+(_[A-Z\d]+){1,8})$/.test(code) ? { code } : {};
}

/** The message of an error with `isForLog` contains no secrets, but may contain a host name that looks like one. */
function messageOf(error: Error): string {
  return 'isForLog' in error ? error.message : withoutSecrets(error.message);
}

/** The message of an unexpected error may quote anything: JSON.parse, for one, quotes its input. */
function withoutSecrets(text: unknown): string {
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

/** About 3,000 request lines. */
const maxBufferedCharacters = 1024 * 1024;
/** As much as a pipe holds. */
const maxBatchedCharacters = 64 * 1024;
/** How long writing the last lines may take before the process exits. */
const flushMs = 1_000;

/**
 * Standard output that never blocks the server, even if nothing reads the pipe. Lines beyond a limit are dropped until all buffered lines have
 * been read; then the number of dropped lines is reported.
 *
 * Writes the lines of one tick together: a write for each would take longer than making the line.
 */
export class StandardOutput {
  private lines = '';
  private dropped = 0;
  private isDropping = false;

  /**
   * @param stream `process.stdout`, whose writes to a pipe are asynchronous (not on Windows, nor to a terminal or a file)
   * @param onDropped called with the number of dropped lines once everything buffered has been read
   */
  constructor(
    private readonly stream: Writable,
    private readonly onDropped: (lines: number) => void,
  ) {
    // A closed pipe (EPIPE) or a full disk must not end the process.
    stream.on('error', () => this.report());
    stream.on('drain', () => this.report());
  }

  readonly write = (line: string): void => {
    this.isDropping ||= this.stream.writableLength + this.lines.length >= maxBufferedCharacters;
    if (this.isDropping) {
      this.dropped += 1;
      return;
    }
    if (this.lines === '') nextTick(this.writeLines);
    this.lines += line;
    if (this.lines.length >= maxBatchedCharacters) this.writeLines();
  };

  /** Call this before the process exits. */
  readonly writeLines = (): void => {
    if (this.lines !== '') this.stream.write(this.lines);
    this.lines = '';
  };

  /** Waits until everything is written, but at most one second. */
  async flush(): Promise<void> {
    this.writeLines();
    if (this.stream.writableLength === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, flushMs)));
    const written = new Promise<void>((resolve) => this.stream.write('', () => resolve()));
    await Promise.race([written, late]);
    clearTimeout(timer);
  }

  private report(): void {
    const { dropped } = this;
    this.isDropping = false;
    this.dropped = 0;
    if (dropped > 0) this.onDropped(dropped);
  }
}
