import { expect, onTestFinished, test, vi } from 'vitest';
import { failingUsers, misbehaviours } from '../src/embedded-zitadel/failing-users.js';
import { item } from '../src/embedded-zitadel/outbox-page.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { startChild } from './support/child.js';
import { readMetrics } from './support/metrics.js';
import { mutationNames, mutations } from './support/mutations.js';
import { openStage, resend, run } from './support/stage.js';
import { until } from './support/until.js';

async function startDemo(env: Record<string, string> = {}) {
  const demo = startChild(['dist/demo.js'], {
    PORT: '0',
    SMS_LIMITS: 'off',
    ZITADEL_API: process.env['TEST_ZITADEL_API'],
    ...env,
  });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  await demo.printed(/ has expired\n/);
  return { demo, origin, [Symbol.asyncDispose]: () => demo[Symbol.asyncDispose]() };
}

const isSilent = { code: 'UPSTREAM_TIMEOUT', outcome: 'UNKNOWN' };
const isLost = { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' };
const isLimited = { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA', outcome: 'NOT_DONE' };
const isUnavailable = { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' };

// The user, the answers to a read, set, resend, verify and remove, and the number after those.
test.each([
  ['slow', 'OK', isSilent, isSilent, isSilent, isSilent, '+41795550201'],
  ['lost', 'OK', isLost, isLost, isLost, isLost, undefined],
  ['limited', 'OK', isLimited, isLimited, isLimited, isLimited, '+41795550204'],
  [
    'unavailable',
    isUnavailable,
    // The read before the SMS fails, so nothing is written.
    { ...isUnavailable, outcome: 'NOT_DONE' },
    { ...isUnavailable, outcome: 'NOT_DONE' },
    { ...isUnavailable, outcome: 'UNKNOWN' },
    { ...isUnavailable, outcome: 'UNKNOWN' },
    undefined,
  ],
] as const)(
  'each call for the user "%s" fails as its description says',
  async (name, read, set, resend, verify, remove, lastNumber) => {
    await using stage = await openStage(
      { ZITADEL_TIMEOUT_MS: '300000' },
      { moreUsers: Object.values(failingUsers), misbehaviours },
    );
    const { userId, description } = failingUsers[name];
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());

    const { errors, data } = await stage.run('contact-phone', { userId });
    const expected = { set, resend, verify, remove };
    expect(errors?.[0]?.extensions ?? 'OK').toEqual(read === 'OK' ? read : expect.objectContaining(read));
    if (read === 'OK') expect(data?.contactPhoneUser?.contactPhone?.isVerified).toBe(false);
    for (const [count, mutation] of mutationNames.entries()) {
      const answer = stage.run(mutation, { ...mutations[mutation], userId });
      if (name === 'slow') {
        await stage.zitadel.written(count + 1);
        vi.advanceTimersByTime(300_000);
      }
      const failures = (await answer).errors?.map(({ extensions }) => extensions);
      const [verb] = mutation.split('-');
      expect(failures, mutation).toMatchObject([expected[verb as keyof typeof expected]]);
      expect(failures?.[0]?.retryAfter).toBeUndefined();
      expect(description).toContain(`(${failures?.[0]?.code})`);
    }

    const last = await stage.run('contact-phone', { userId });
    expect(last.data?.contactPhoneUser?.contactPhone?.number).toBe(lastNumber);
    if (name !== 'limited' && name !== 'unavailable') {
      // The connection of each call is closed.
      expect(await Promise.all(stage.zitadel.writes.map(({ answered }) => answered))).toEqual(Array(4).fill(false));
    }
  },
);

test('prints its addresses first, and all users and tokens', async () => {
  await using running = await startDemo({ CORS_ORIGINS: 'https://app.example.com' });
  const { demo, origin } = running;
  const printed = demo.output.stdout.slice(demo.output.stdout.indexOf(`\n  ${origin}`));

  expect(printed.trim().split('\n').slice(0, 2)).toEqual([
    expect.stringMatching(new RegExp(`^${origin} +the playground$`)),
    expect.stringMatching(new RegExp(`^  ${origin}/outbox +the SMS that were "sent"$`)),
  ]);
  expect((await fetch(origin)).url).toBe(`${origin}/playground/`);
  for (const { userId, description } of [...Object.values(users), ...Object.values(failingUsers)]) {
    expect(printed).toMatch(new RegExp(`^  ${userId} +${description.replace(/[()]/g, '\\$&')}$`, 'm'));
  }
  for (const { token } of Object.values(tokens)) expect(printed).toContain(`\n  ${token} `);
  expect(printed).toContain('Browsers may call it from https://app.example.com.');

  const { userId } = failingUsers.limited;
  const { errors } = await run(`${origin}/graphql`, 'remove-contact-phone', { userId });
  expect(errors).toMatchObject([{ extensions: isLimited }]);
});

test('shows no playground if PLAYGROUND=false', async () => {
  await using running = await startDemo({ PLAYGROUND: 'false' });
  const { demo, origin } = running;

  expect(demo.output.stdout).toContain(`\n  ${origin}/outbox `);
  expect(demo.output.stdout).not.toContain('playground');
  const page = await (await fetch(`${origin}/outbox`)).text();
  expect(page).toContain('<h1>Outbox</h1>');
  expect(page).not.toContain('playground');
});

test('the outbox allows only its own script and its own style', async () => {
  await using running = await startDemo();

  for (const path of ['', '/script.js', '/style.css']) {
    const response = await fetch(`${running.origin}/outbox${path}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('cache-control')).toBe('no-store');
  }
});

test('the outbox escapes everything, on one line', () => {
  const sms = { userId: '<b>&"\'', number: 'a\r\ndata: b', code: '"><script>', sentAt: new Date(0) };

  const html = item(sms);

  expect(html).not.toMatch(/[\r\n]|<b>|<script|code=""/);
  expect(html).toContain('User &#60;b&#62;&#38;&#34;&#39;<');
  expect(item({ ...sms, number: '' })).toContain('no number');
});

interface SmsEvent {
  name: string;
  id: string;
  data: string;
}

/** Reads the server-sent events until this many have arrived, and hangs up. */
async function events(origin: string, count: number, after?: string, headers: Record<string, string> = {}) {
  const query = after === undefined ? '' : `?after=${after}`;
  const { body, headers: answered } = await fetch(`${origin}/outbox/events${query}`, { headers });
  expect(answered.get('content-type')).toBe('text/event-stream');
  let received = '';
  const all = () =>
    [...received.matchAll(/^event: (.*)\nid: (.*)\ndata: (.*)\n\n/gm)].map(
      ([, name = '', id = '', data = '']): SmsEvent => ({ name, id, data }),
    );
  for await (const chunk of body as ReadableStream<Uint8Array>) {
    received += Buffer.from(chunk).toString();
    if (all().length >= count) break;
  }
  return all();
}

test('a page that was cut off gets what it missed, once, and notices a restart', async () => {
  await using running = await startDemo({ KEEP_ALIVE_TIMEOUT_MS: '1' });
  const { demo, origin } = running;
  const lastOf = async () => /data-last-event-id="(.*?)"/.exec(await (await fetch(`${origin}/outbox`)).text())?.[1];
  const empty = await lastOf();

  const arriving = events(origin, 1, empty);
  await resend(origin);
  const [first] = await arriving;
  await resend(origin);
  await resend(origin);
  await demo.printed(/(SMS to[^]*){3}/);
  const [, ...codes] = [...demo.output.stdout.matchAll(/SMS to \S+: (\w+) /g)].map(([, code = '']) => code);
  const missed = await events(origin, 2, empty, { 'last-event-id': first?.id ?? '' });

  expect([first, ...missed].map((event) => event?.name)).toEqual(['sms', 'sms', 'sms']);
  expect(missed.map(({ data }) => /<code>(.*?)<\/code>/.exec(data)?.[1])).toEqual(codes);
  expect(await lastOf()).toBe(missed[1]?.id);
  const all = await events(origin, 4, 'of-another-run.7');
  expect(all.map(({ name }) => name)).toEqual(['restart', 'sms', 'sms', 'sms']);
  expect(all.slice(1)).toEqual([first, ...missed]);
  expect(all[0]?.id).toBe(empty);
});

test('stops even if pages of the outbox are open', async () => {
  await using running = await startDemo();
  const { demo, origin } = running;
  const streams = await Promise.all([1, 2].map(() => fetch(`${origin}/outbox/events`)));

  demo.kill('SIGTERM');

  for (const stream of streams) expect(await stream.text()).toContain('event: restart\n');
  expect(await demo.exited).toBe(0);
  expect(demo.output.stderr).toBe('');
});

test('stops even if a write is not answered', async () => {
  await using running = await startDemo({ SHUTDOWN_TIMEOUT_MS: '300', ZITADEL_TIMEOUT_MS: '300000' });
  const { demo, origin } = running;
  const { userId } = failingUsers.slow;

  const inFlight = expect(run(`${origin}/graphql`, 'remove-contact-phone', { userId })).rejects.toThrow();
  await until(async () => (await readMetrics(`${origin}/metrics`))['contact_phone_requests_in_flight'] === 1);
  demo.kill('SIGTERM');

  await inFlight;
  expect(await demo.exited).toBe(1);
  expect(demo.output.stderr).toBe('');
});
