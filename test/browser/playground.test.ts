import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startChild } from '../support/child.js';
import { openPage } from './chromium.js';
import { answersOn, nextOf, rawGet } from '../support/raw-http.js';
import { openSocket } from '../support/sockets.js';
import { openStage } from '../support/stage.js';

/** For people to look at; ignored by git. */
const artefacts = 'test/artefacts';

const examples = readdirSync('schema/operations').map((file) => file.replace('.graphql', ''));

test('a newcomer opens the demo in a browser, resends a code with one click, and finds the SMS', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  await using browser = await openPage([origin]);
  const { page, strangers, complaints } = browser;
  const tab = (name: string) => page.locator('.window-switcher__input', { hasText: name });
  const send = page.getByRole('button', { name: 'Send Request' }).first();
  const result = page.locator('app-query-result').first();

  await page.goto(origin);
  expect(page.url()).toBe(`${origin}/playground/`);
  await tab('resend').waitFor();
  expect((await page.locator('.window-switcher__input').allTextContents()).map((name) => name.trim()).sort()).toEqual(
    examples,
  );

  await send.click();
  await result.getByText('"resourceOwner": "301000000000000001"').waitFor();
  await tab('verify').click();
  await send.click();
  await result.getByText('"INVALID_VERIFICATION_CODE"').waitFor();
  await page.getByRole('button', { name: 'Docs' }).or(page.getByText('Docs')).first().click();
  await page.locator('app-doc-viewer').getByText('Mutation').first().waitFor();
  expect(await page.getByText('Altair AI').count()).toBe(0);
  await page.screenshot({ path: `${artefacts}/playground.png` });

  const [, code = ''] = await demo.printed(/SMS to \+41791234567: (\w+) is your verification code/);
  await page.goto(`${origin}/outbox`);
  expect(await page.locator('code').allTextContents()).toEqual([code]);
  expect(strangers).toEqual([]);
  expect(complaints).toEqual([]);
});

test('each tab works without changes', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  const script = await (await fetch(`${origin}/playground/init.js`)).text();
  const options = JSON.parse(/const options = (.*);$/m.exec(script)?.[1] ?? '') as {
    preserveState: boolean;
    initialWindows: {
      initialName: string;
      initialQuery: string;
      initialVariables: string;
      initialHeaders: Record<string, string>;
    }[];
  };

  // Otherwise the browser would store the token.
  expect(options.preserveState).toBe(false);
  const outcomes: Record<string, unknown> = {};
  for (const { initialName, initialQuery: query, initialVariables, initialHeaders } of options.initialWindows) {
    const response = await fetch(`${origin}/graphql`, {
      method: 'POST',
      headers: { ...initialHeaders, 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables: JSON.parse(initialVariables) as unknown }),
    });
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] };
    outcomes[initialName] = errors?.map(({ extensions }) => extensions.code) ?? 'OK';
  }

  expect(outcomes).toEqual({
    'contact-phone': 'OK',
    'set-contact-phone': 'OK',
    'verify-contact-phone': ['INVALID_VERIFICATION_CODE'],
    'remove-contact-phone': 'OK',
    'resend-contact-phone-code': 'OK',
  });
});

test('allows no foreign scripts in the playground', async () => {
  await using stage = await openStage({ PLAYGROUND: 'true' });

  for (const path of ['', 'init.js', 'main.js', 'styles.css']) {
    const response = await fetch(`${stage.url}/playground/${path}`);
    const policy = response.headers.get('content-security-policy');
    expect(policy).toMatch(/^default-src 'none'; script-src 'self';/);
    expect(policy).toContain("connect-src 'self'; ");
    expect(policy).not.toContain('unsafe-eval');
    expect(response.status).toBe(200);
  }
  const page = await (await fetch(`${stage.url}/playground/`)).text();
  expect(page).not.toMatch(/<script(?![^>]*src=)|https?:/);
  const init = await (await fetch(`${stage.url}/playground/init.js`)).text();
  expect(init).not.toContain('embedded-token');
});

test('is off by default', async () => {
  await using stage = await openStage();

  for (const path of ['/', '/playground', '/playground/', '/playground/main.js']) {
    expect((await fetch(stage.url + path, { redirect: 'manual' })).status).toBe(404);
  }
});

test('serves nothing outside its folder', async () => {
  await using stage = await openStage({ PLAYGROUND: 'true' });
  const socket = await openSocket(stage.url);
  const answers = answersOn(socket);

  // HTTP clients would normalise this path, so it is sent raw.
  socket.write(rawGet('/playground/%2e%2e/%2e%2e/package.json'));

  const { status, body } = await nextOf(answers);
  expect([status, body]).toEqual([404, expect.stringContaining('BAD_REQUEST')]);
  socket.destroy();
});

test('serves only its files', async () => {
  await using stage = await openStage({ PLAYGROUND: 'true' });

  for (const path of ['/playground/..%2f..%2fpackage.json', '/playground/%2e%2e/index.js', '/playground/nothing.js']) {
    const response = await fetch(stage.url + path);
    expect([response.status, await response.json()]).toMatchObject([
      404,
      { errors: [{ extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }] },
    ]);
  }
});
