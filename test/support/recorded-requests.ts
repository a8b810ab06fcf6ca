import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { startEmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { users, type EmbeddedToken, type EmbeddedUser } from '../../src/embedded-zitadel/population.js';
import { instanceHost } from '../../src/embedded-zitadel/routes.js';
import { differencesOf, type Answer } from './answer-differences.js';
import { corpus, type Recorded } from './corpus.js';

// Sends the recorded requests to an embedded ZITADEL with users, tokens and codes in place of the placeholders, and compares its answers.

const acme = users.unverified.organisation;
const globex = users.foreign.organisation;
const read = ['user.read'];
const write = ['user.read', 'user.write'];

/** What the recorded callers may do. */
const memberships: Record<string, EmbeddedToken['memberships']> = {
  iamOwner: { [acme]: write, [globex]: write },
  iamViewer: { [acme]: read, [globex]: read },
  loginClient: { [acme]: write, [globex]: write },
  orgOwner: { [acme]: write },
  userManager: { [acme]: write },
  reader: { [acme]: read },
  permissionEditor: { [acme]: read },
  selfManager: { [acme]: [] },
  settingsManager: { [acme]: [] },
  projectOwner: { [acme]: [] },
  outsider: { [globex]: write },
  nobody: {},
  self: {},
  selfde: {},
};

const placeholder = /<user:([\w-]+)>|<(id)>/g;
const userNames = (text: string) => [...text.matchAll(placeholder)].map(([, name, id]) => name ?? id ?? '');

/** Those that appear together in a list come first, in the order of the recorded ids. */
const everyone = ['unverified', 'self', 'foreign', 'initial', 'reader', ...userNames(JSON.stringify(corpus))];
const ids = new Map(
  [...new Set(everyone)].map((name, index) => [name, String(310_000_000_000_000_000n + BigInt(index))]),
);
const idOf = (name: string) => ids.get(name) ?? name;
const bulkId = (index: number) => String(390_000_000_000_000_000n + BigInt(index));
const bulkSize = 1100;

const tokenOf = (name: string) => `token-of-${name}`;
const moreTokens: EmbeddedToken[] = Object.entries(memberships).map(([name, theirs]) => ({
  description: '',
  token: tokenOf(name),
  userId: idOf(name),
  memberships: theirs,
}));

/** Requests that were sent in this order about the same users. */
export interface Scene {
  name: string;
  entries: Recorded[];
}

const sceneOf = (name: string) => /^(?:caller|state):[^:]+|^set:.*?(?=:get$|$)|^[^:]+/.exec(name)?.[0] ?? name;

export const scenes: Scene[] = [...new Set(corpus.map(({ name }) => sceneOf(name)))].map((name) => ({
  name,
  entries: corpus.filter((entry) => sceneOf(entry.name) === name),
}));

type Request = Recorded['request'];

const asOwner = (method: string, below: string, body: object | null = null): Request => ({
  method,
  path: `/v2/users/${below}`,
  headers: { Authorization: 'Bearer <token:orgOwner>' },
  body: body && JSON.stringify(body),
});

/** Requests that were not recorded, by what they precede. What follows shows that they were sent. */
const omitted: Partial<Record<string, Request>> = {
  'caller:iamOwner:get': asOwner('POST', '<user:fresh-target>/phone', { phone: '+41791484742', isVerified: true }),
  'state:unverified:remove-again': asOwner('DELETE', '<user:unverified>/phone'),
  'state:unverified:get-after': asOwner('POST', '<user:unverified>/phone', { phone: '+41791567678' }),
  'set:no mode:get': asOwner('POST', '<user:fresh-in>/phone', { phone: '+41791230006' }),
  'set:unknown field:get': asOwner('POST', '<user:fresh-in>/phone', { phone: '+41791230010', foo: 1 }),
};

/** The names of what differs from the recorded answers, by the names of the requests. */
export async function replay(scene: Scene): Promise<Record<string, string[]>> {
  let now = Date.parse('2026-07-10T00:00:00Z');
  await using zitadel = await startEmbeddedZitadel({ now: () => now, moreUsers: usersIn(scene), moreTokens });
  const sendUnrecorded = async (request: Request) => {
    const { status, body } = await send(zitadel.url, fill(request));
    if (status !== 200) throw new Error(`A request that was not recorded is refused: ${body}`);
  };
  const differences: [string, string[]][] = [];
  for (const entry of scene.entries) {
    const { name, operation, request, response } = entry;
    const [userName = ''] = userNames(request.path + (request.body ?? ''));
    const before = omitted[name];
    if (before) await sendUnrecorded(before);
    if (name === 'expiry:verify after 2.5 s') now += 60 * 60 * 1000;

    const isRight = operation === 'VerifyPhone' && response.status === 200;
    if (isRight && !zitadel.pendingCode(idOf(userName))) {
      await sendUnrecorded(asOwner('POST', `<user:${userName}>/phone/resend`, { returnCode: {} }));
    }
    const pending = zitadel.pendingCode(idOf(userName));
    // A wrong code is the latest that is no longer valid, if there is one.
    const code = isRight ? pending : (zitadel.codes.findLast((one) => one !== pending) ?? 'WRONG1');
    const answer = await send(zitadel.url, fill(complete(entry), code, pending));
    const differing = differencesOf(entry, answer);
    if (differing.length > 0) differences.push([name, differing]);
  }
  return Object.fromEntries(differences);
}

const states: Partial<Record<string, EmbeddedUser['state']>> = {
  locked: 'locked',
  deactivated: 'inactive',
  initial: 'initial',
};

/** The users that a scene is about, with the phones that they had before it. */
function usersIn({ entries }: Scene): EmbeddedUser[] {
  const names = new Set(entries.flatMap(({ request: { path, body } }) => userNames(path + (body ?? ''))));
  const bulk = names.has('bulk') ? Array.from({ length: bulkSize }, (_, index) => bulkId(index)) : [];
  const people = [...names].filter((name) => !['bulk', 'deleted', 'unknown'].includes(name));
  const human = { description: 'is recorded', organisation: acme, kind: 'human', state: 'active' } as const;
  return [
    ...bulk.map((userId) => ({ ...human, userId, phone: { number: '+41790000000', isVerified: true } })),
    ...people.map((name): EmbeddedUser => {
      const phone = phoneBefore(name, entries);
      return {
        ...human,
        userId: idOf(name),
        description: name === 'machine' ? '' : human.description,
        organisation: name === 'foreign' ? globex : acme,
        kind: name === 'machine' || name === 'reader' ? 'machine' : 'human',
        state: states[name.replace(/-.*/, '')] ?? 'active',
        ...(phone && { phone }),
      };
    }),
  ];
}

/** As in the first read, unless the phone was changed earlier. */
function phoneBefore(name: string, entries: Recorded[]): EmbeddedUser['phone'] {
  for (const { name: entry, operation, request, response } of entries) {
    if (response.status !== 200) continue;
    const isAbout = ({ path, body }: Request) => userNames(path + (body ?? '')).includes(name);
    const before = omitted[entry];
    if ((before && isAbout(before)) || (operation === 'SetPhone' && isAbout(request))) break;
    const human = new RegExp(`"userId":"<user:${name}>".*?"human":.*?"phone":({.*?})`).exec(response.body)?.[1];
    if (human === undefined) continue;
    const { phone: number, isVerified = false } = JSON.parse(human) as { phone?: string; isVerified?: boolean };
    return number === undefined ? undefined : { number, isVerified };
  }
  if (name === 'phoneless') return undefined;
  return { number: '+41790000000', isVerified: name === 'verified' };
}

/** Long requests were recorded only in part. */
function complete({ name, request, response }: Recorded): Request {
  const [, emojis] = /^id:(\d+) emoji/.exec(name) ?? [];
  if (emojis !== undefined) {
    const below = request.method === 'POST' ? '/phone/resend' : '';
    return { ...request, path: `/v2/users/${encodeURIComponent('😀').repeat(Number(emojis))}${below}` };
  }
  const { body } = request;
  if (body?.length !== 1500) return request;
  const total = Number(/"totalResult":"(\d+)"/.exec(response.body)?.[1]);
  const userIds = JSON.stringify(Array<string>(total).fill('<user:bulk>'));
  return { ...request, body: `${body.slice(0, body.indexOf('['))}[{"inUserIdsQuery":{"userIds":${userIds}}}]}` };
}

/** Replaces the placeholders. */
function fill(request: Request, code = '', pending = ''): Request {
  let bulk = 0;
  const isDuplicate = request.body?.includes('"limit":10}') ?? false;
  const fillText = (text: string) =>
    text
      .replace(/<user:bulk>/g, () => bulkId(isDuplicate ? 0 : bulk++))
      .replace(placeholder, (_, name: string | undefined, other: string | undefined) => idOf(name ?? other ?? ''))
      .replace('<id:acme>', acme)
      .replace('<id:globex>', globex)
      .replace('<oidc:with the audience of ZITADEL>', tokenOf('self'))
      .replace(/<token:(\w+)>/, (_, name: string) => tokenOf(name))
      .replace(/<code:(.*?):(\d+)>/, (_, characters: string, length: string) => {
        if (length === '6') return code;
        if (characters.endsWith(' ')) return `${pending} `;
        return characters.includes('\\u0000') ? 'A\\u0000BCDEFG' : 'A'.repeat(Number(length));
      });
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    name === 'x-zitadel-instance-host' ? value.replace('localhost', instanceHost) : fillText(value),
  ]);
  return {
    method: request.method,
    path: fillText(request.path),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: request.body === null ? null : fillText(request.body),
  };
}

function withPlaceholders(body: string): string {
  const names = new Map([...ids].map(([name, id]) => [id, name === 'id' ? '<id>' : `<user:${name}>`]));
  return body
    .replace(/39\d{16}/g, '<user:bulk>')
    .replace(/31\d{16}/g, (id) => names.get(id) ?? id)
    .replaceAll(acme, '<id:acme>')
    .replaceAll(globex, '<id:globex>')
    .replaceAll(instanceHost, 'localhost');
}

async function send(url: string, { method, path, headers, body }: Request): Promise<Answer> {
  const { port } = new URL(url);
  const request = httpRequest({ host: '127.0.0.1', port, method, path, headers });
  if (body !== null) request.setHeader('content-length', Buffer.byteLength(body));
  request.end(body ?? undefined);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const headersThen = JSON.parse(withPlaceholders(JSON.stringify(response.headers))) as IncomingHttpHeaders;
  return { status: response.statusCode ?? 0, headers: headersThen, body: withPlaceholders(await text(response)) };
}
