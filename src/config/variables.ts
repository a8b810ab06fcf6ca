import { readFileSync, statSync } from 'node:fs';
import * as z from 'zod';

// Parsers for each kind of variable. Error messages never repeat a value that may be a secret.

export const wholeNumber = (min: number, max: number) => {
  const rule = `must be a whole number from ${min} to ${max}`;
  return z.string().regex(/^\d+$/, rule).transform(Number).pipe(z.number().min(min, rule).max(max, rule));
};

export const flag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true');

const isFromKubernetes = (text: string) => text.startsWith('tcp://');

export const port = z
  .string()
  .refine((text) => !isFromKubernetes(text), {
    error:
      'is what Kubernetes sets for a Service of that name: set enableServiceLinks: false in the pod, or rename the Service',
    abort: true,
  })
  .pipe(wholeNumber(0, 65_535));

export const httpUrl = (ofWhat: string) =>
  z.string(`is required: the base URL ${ofWhat}`).transform((value, issues) => {
    const parsed = URL.canParse(value) ? new URL(value) : undefined;
    if (
      parsed &&
      /^https?:$/.test(parsed.protocol) &&
      parsed.port !== '0' &&
      parsed.href === parsed.origin + parsed.pathname
    )
      return parsed;
    issues.addIssue('must be an http or https URL without a user, query or fragment');
    return z.NEVER;
  });

export const hostName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]*(:\d{1,5})?$/i, 'must be a host name, such as example.zitadel.cloud');

export const proxyUrl = z.string().transform((value, issues) => {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  if (parsed && /^https?:$/.test(parsed.protocol) && canDecode(parsed.username) && canDecode(parsed.password))
    return parsed;
  issues.addIssue('must be the URL of an HTTP proxy, such as http://proxy.example.com:3128');
  return z.NEVER;
});

const maxFileBytes = 1024 * 1024;

/** The contents of a file, without a line break at the end. */
export const contents = z.string().transform((path, issues) => {
  try {
    const file = statSync(path);
    // Reading a pipe could block the whole process until someone writes to it.
    if (!file.isFile() || file.size > maxFileBytes) {
      issues.addIssue('must name a regular file of at most 1 MiB');
      return z.NEVER;
    }
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return text;
    issues.addIssue('must name a file that is not empty');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    issues.addIssue(`must name a file that this process can read (${code})`);
  }
  return z.NEVER;
});

/** The value of another variable in a file. */
export const fileWith = <Value extends z.ZodType<unknown, string>>(value: Value) => contents.pipe(value).optional();

/** The text of an invalid entry if it cannot be a secret (at most three letters or digits, or only capitals), otherwise its position. */
export const nameOf = (text: string, index: number) =>
  /^(\w{1,3}|[A-Z_]{1,20})$/.test(text) ? text : `entry ${index + 1}`;

export const listOf = (rule: string, isEntry: (text: string) => boolean) =>
  z.string().transform((value, issues) => {
    const list = value.split(',').map((text) => text.trim());
    const bad = list.findIndex((text) => !isEntry(text));
    if (bad < 0) return list;
    issues.addIssue(`must be a comma-separated list of ${rule}: ${nameOf(list[bad] ?? '', bad)} is wrong`);
    return z.NEVER;
  });

const isOrigin = (text: string) => /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;

/** With `*` as the port, a pattern for any port. */
const originOf = (text: string) =>
  text.endsWith(':*') ? new RegExp(`^${text.slice(0, -2).replace(/[^\w:/-]/g, String.raw`\$&`)}(:\\d{1,5})?$`) : text;

export const origins = listOf(
  'origins without a slash at the end, such as https://app.example.com or http://localhost:*',
  (text) => isOrigin(text.replace(/:\*$/, ':1')),
).transform((list) => list.map(originOf));

const isSecret = (text: string) => /^[\x21-\x7e]{16,}$/.test(text);

/** One secret, or two during a rotation. */
export const secrets = z.string().transform((value, issues) => {
  const list = value.split(',').map((text) => text.trim());
  if (list.length <= 2 && list.every(isSecret)) return list;
  issues.addIssue('must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters');
  return z.NEVER;
});

/** The prefix becomes a hash tag of Redis Cluster, which a brace would end early. */
export const redisPrefix = z.string().regex(/^[\w.-]{1,50}$/, 'must be 1 to 50 letters, digits, or any of ._-');

export const redisUrl = z.string().transform((value, issues) => {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  const isSound = ({ protocol, hostname, pathname, search, hash }: URL) =>
    /^rediss?:$/.test(protocol) && hostname !== '' && /^\/?\d{0,4}$/.test(pathname) && search + hash === '';
  if (parsed && isSound(parsed) && canDecode(parsed.username) && canDecode(parsed.password)) return parsed;
  issues.addIssue('must be a URL such as redis://:password@host:6379/0, or rediss:// for TLS');
  return z.NEVER;
});

function canDecode(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
