import type { DestinationStream } from 'pino';
import { prettyFactory } from 'pino-pretty';

// The log in a format for people.

/** A line of the log. Most have only some of these fields. */
interface Line {
  msg?: string;
  limits?: Record<string, string | number | boolean>;
  version?: string;
  node?: string;
  method?: string;
  path?: string;
  operation?: string;
  field?: string;
  rpc?: string;
  attempt?: number;
  code?: string;
  reason?: string;
  outcome?: string;
  refusal?: string;
  zitadelErrorId?: string;
  ms?: number;
  totalMs?: number;
}

/** Fields that are left out, or are part of the message. */
const hidden = [
  ...[
    'pid',
    'hostname',
    'limits',
    'version',
    'node',
    'requestId',
    'trace_id',
    'span_id',
    'method',
    'path',
    'operation',
  ],
  ...['kind', 'field', 'rpc', 'attempt', 'code', 'reason', 'outcome', 'refusal', 'errors', 'zitadelErrorId', 'userId'],
  ...['users', 'upstreamCalls', 'upstreamMs', 'ms', 'totalMs', 'httpStatus'],
];

/** Formats each line. */
export function forPeople(destination: DestinationStream): DestinationStream {
  const prettify = prettyFactory({
    ignore: hidden.join(','),
    translateTime: 'SYS:HH:MM:ss',
    messageFormat: (line) => messageOf(line),
  });
  return { write: (line) => destination.write(prettify(line)) };
}

function messageOf(line: Line): string {
  const { msg, version, node, limits, method, path, operation, field, rpc, attempt = 1, ms, totalMs = ms } = line;
  const settings: [string, string | number | boolean | undefined][] = Object.entries({ version, node, ...limits });
  const set = settings.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  if (line.code === undefined) return [msg, ...set].join(' ');
  const subject = rpc ?? operation ?? field ?? (method && path ? `${method} ${path}` : msg);
  const duration = totalMs === undefined ? undefined : `in ${totalMs.toFixed()} ms`;
  const repeated = attempt > 1 ? `(attempt ${attempt})` : undefined;
  const { code, reason, outcome, zitadelErrorId, refusal } = line;
  return [subject, code, reason, outcome, zitadelErrorId, duration, repeated, refusal].filter(Boolean).join(' ');
}
