import type { IncomingHttpHeaders } from 'node:http';
import type { Recorded } from './corpus.js';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

const comparedHeaders = ['content-type', 'www-authenticate', 'location', 'allow', 'accept-post', 'content-encoding'];

/**
 * What in an answer differs from the recorded one: `status` and nothing else, or headers and nothing else, or fields of the body. Sequences,
 * times, and the names of users may differ.
 */
export function differencesOf({ request, response }: Recorded, answer: Answer): string[] {
  if (answer.status !== response.status) return ['status'];
  const recordedHeaders: IncomingHttpHeaders = { ...response.headers };
  if (response.contentType !== null) recordedHeaders['content-type'] = response.contentType;
  const headers = comparedHeaders.filter((name) => answer.headers[name] !== recordedHeaders[name]);
  if (headers.length > 0) return headers;

  const isCut = response.body.length === maxRecorded;
  const recorded = fieldsOf(response.body, isCut);
  const actual = fieldsOf(answer.body, isCut);
  // A list of all users depends on who exists.
  const isCompared = (path: string) => request.body !== '{}' || !/^result|totalResult$/.test(path);
  const paths = new Set([...recorded.keys(), ...actual.keys()].filter(isCompared));
  const differing = [...paths].filter((path) => recorded.get(path) !== actual.get(path));
  return [...new Set(differing.map(lastName))].sort();
}

/** Longer bodies were recorded only in part: all are lists. */
const maxRecorded = 3000;

/** The values in JSON by their paths, or the whole body if it is not JSON. With `isCut`, only the first user of a list. */
function fieldsOf(body: string, isCut: boolean): Map<string, string> {
  const fields = new Map<string, string>();
  const collect = (path: string, value: unknown): void => {
    const isEmpty = typeof value !== 'object' || value === null || Object.keys(value).length === 0;
    if (isEmpty) return void fields.set(path, mask(lastName(path), JSON.stringify(value), body));
    for (const [name, field] of Object.entries(value)) collect(path === '' ? name : `${path}.${name}`, field);
  };
  try {
    const [first = '', ...more] = isCut ? body.split(/(?<=\}), ?(?=\{"userId")/) : [body];
    collect('', JSON.parse(more.length > 0 ? `${first}]}` : first));
  } catch {
    fields.set('body', body);
  }
  return fields;
}

/** The last name in a path, which is not an index. */
const lastName = (path: string) => path.split('.').findLast((name) => !/^\d+$/.test(name)) ?? path;

// prettier-ignore
const chosenFreely = [
  'username', 'loginNames', 'preferredLoginName', 'givenName', 'familyName', 'displayName', 'preferredLanguage', 'email', 'name', 'description',
];

function mask(name: string, value: string, body: string): string {
  if (chosenFreely.includes(name)) return '<text>';
  if (name === 'phone' && body.includes('<user:bulk>')) return '<number>';
  if (name === 'sequence') return value.replace(/\d+/, '<seq>');
  if (name === 'verificationCode') return value.replace(/"[A-Z0-9]{6}"/, '"<code:A-Z0-9:6>"');
  return value.replace(/"[\dT:-]+\.\d{6}Z"|<time\.\d>/, '<time>').replace(/^"<time>"$/, '<time>');
}
