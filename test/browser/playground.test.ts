import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { tokens } from '../../src/embedded-zitadel/population.js';
import { startChild } from '../support/child.js';
import { seriousViolations } from './axe.js';
import { openPage } from './chromium.js';
import { answersOn, nextOf, rawGet } from '../support/raw-http.js';
import { openSocket } from '../support/sockets.js';
import { openStage } from '../support/stage.js';

/** For people to look at; ignored by git. */
const artefacts = 'test/artefacts';

const examples = readdirSync('schema/operations').map((file) => file.replace('.graphql', ''));

/** Opens the demo's playground in a browser. */
async function openPlayground() {
  const demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  const browser = await openPage([origin]);
  const { page } = browser;
  await page.goto(origin);
  await page.locator('.window-switcher__input', { hasText: 'resend' }).waitFor();
  return {
    ...browser,
    demo,
    origin,
    tab: (name: string) => page.locator('.window-switcher__input', { hasText: name }),
    send: page.getByRole('button', { name: 'Send Request' }).first(),
    variables: page.locator('app-variables-editor:visible .cm-content'),
    result: page.locator('app-query-result:visible'),
    docs: page.locator('app-doc-viewer:visible'),
    async [Symbol.asyncDispose]() {
      await browser[Symbol.asyncDispose]();
      await demo[Symbol.asyncDispose]();
    },
  };
}

/** All that the browser has stored for this page. */
const stored = async () => {
  const values: unknown[] = [Object.entries(localStorage), Object.entries(sessionStorage), document.cookie];
  const done = <Result>(request: IDBRequest<Result>) =>
    new Promise<Result>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(new Error('not read'));
    });
  for (const { name = '' } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      values.push(...(await done<unknown[]>(database.transaction(store).objectStore(store).getAll())));
    }
  }
  return JSON.stringify(values);
};

test('a newcomer resends a code with one click, tries a wrong code, and reads the docs', async () => {
  await using playground = await openPlayground();
  const { page, demo, origin, tab, send, variables, result, docs, strangers, complaints } = playground;

  expect(page.url()).toBe(`${origin}/playground/`);
  expect((await page.locator('.window-switcher__input').allTextContents()).map((name) => name.trim()).sort()).toEqual(
    examples,
  );
  await variables.getByText('"301000000000000101"').waitFor();
  await send.click();
  await result.getByText('"resourceOwner": "301000000000000001"').waitFor();
  await demo.printed(/SMS to \+41791234567: \w+ is your verification code/);

  await tab('verify').click();
  await variables.getByText('"WRONG1"').waitFor();
  await send.click();
  await result.getByText('"INVALID_VERIFICATION_CODE"').waitFor();
  await page.screenshot({ path: `${artefacts}/playground.png` });

  await page.getByRole('button', { name: 'Docs', exact: true }).first().click();
  await docs.getByText('@deprecated').waitFor();
  expect(await docs.textContent()).not.toMatch(/federation|link/);
  await docs.getByText('Query', { exact: true }).click();
  await docs.getByText('contactPhoneUser').waitFor();
  expect(await docs.textContent()).not.toContain('_entities');
  expect(await page.getByText('Altair AI').count()).toBe(0);
  expect(strangers).toEqual([]);
  expect(complaints).toEqual([]);
});

test('a newcomer switches from the token of the manager to that of a guest, with the keyboard', async () => {
  await using playground = await openPlayground();
  const { page, tab, send, result, complaints } = playground;
  const environments = page.locator('.header__menu-item', { hasText: 'manager – manages the organisation' });

  await tab('contact-phone').first().click();
  await send.click();
  await result.getByText('"+41791234567"').waitFor();
  await environments.focus();
  await page.keyboard.press('Enter');
  const guest = page.locator('[nz-menu-item]', { hasText: 'guest – is a member without any permission' });
  await guest.waitFor();
  expect((await page.locator('[nz-menu-item]').allTextContents()).map((name) => name.trim())).toEqual([
    ...Object.entries(tokens).map(([name, { description }]) => `${name} – ${description}`),
    'No environment',
    'Environments...',
  ]);
  await guest.press('Enter');
  await page.locator('.header__menu-item', { hasText: 'guest' }).waitFor();
  await send.click();

  await result.getByText('"FORBIDDEN"').waitFor();
  expect(complaints).toEqual([]);
});

test('stores no token, no code and no phone number in the browser', async () => {
  await using playground = await openPlayground();
  const { page, tab, send, result } = playground;
  await page.evaluate(() => {
    const put = Reflect.get(IDBObjectStore.prototype, 'put') as (value: unknown) => IDBRequest<IDBValidKey>;
    Reflect.set(IDBObjectStore.prototype, 'put', function (this: IDBObjectStore, value: unknown) {
      document.body.dataset['written'] = `${document.body.dataset['written']}${JSON.stringify(value)}`;
      return put.call(this, value);
    });
  });

  await tab('set-contact-phone').click();
  await send.click();
  await result.getByText('"+41795550103"').waitFor();

  // Altair writes its state a while after each change.
  await page.waitForFunction(() => document.body.dataset['written']?.includes('Bearer'));
  expect(/token|Bearer|555/.exec(await page.evaluate(stored))?.[0]).toBeUndefined();
});

/** What axe finds in Altair, whose markup is not ours. */
const violations = {
  dark: ['aria-input-field-name', 'aria-valid-attr-value', 'color-contrast', 'scrollable-region-focusable'],
  light: ['aria-input-field-name', 'aria-valid-attr-value', 'scrollable-region-focusable'],
};

test.for(['dark', 'light'] as const)('fits a desktop and a phone: %s', async (colorScheme) => {
  await using playground = await openPlayground();
  const { page, tab, send, variables, result } = playground;
  const right = async (locator: typeof send) => {
    const { x, width } = (await locator.boundingBox()) ?? { x: 0, width: Infinity };
    return x + width;
  };
  await page.emulateMedia({ colorScheme });
  const found = new Set<string>();

  for (const [width, height] of [
    [1440, 900],
    [390, 844],
  ] as const) {
    await page.setViewportSize({ width, height });
    await page.reload();
    await tab('contact-phone').first().click();
    await send.click();
    await result.getByText('"+41791234567"').waitFor();

    expect(await right(send)).toBeLessThanOrEqual(width);
    expect(await send.evaluate((button) => button.scrollWidth - button.clientWidth)).toBe(0);
    expect(await right(page.locator('.header__menu-item').last())).toBeLessThanOrEqual(width);
    const [input, output] = [await variables.boundingBox(), await result.boundingBox()];
    const isBelow = (output?.y ?? 0) > (input?.y ?? Infinity);
    expect(isBelow).toBe(width === 390);
    // It disappears on its own.
    await page.getByText('Reloaded doc successfully').waitFor({ state: 'detached' });
    await page.screenshot({ path: `${artefacts}/playground-${colorScheme}-${width}.png` });
    for (const { rule } of await seriousViolations(page)) found.add(rule);
  }

  expect([...found].sort()).toEqual(violations[colorScheme]);
});

test('needs no introspection', async () => {
  await using stage = await openStage({ PLAYGROUND: 'true', INTROSPECTION: 'false' });
  await using browser = await openPage([stage.url]);
  const { page } = browser;

  await page.goto(`${stage.url}/playground/`);
  await page.getByRole('button', { name: 'Send Request' }).first().click();

  await page.locator('app-query-result:visible').getByText('"BAD_USER_INPUT"').waitFor();
  expect(browser.strangers).toEqual([]);
});

test('each tab works without changes', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  const script = await (await fetch(`${origin}/playground/init.js`)).text();
  const options = JSON.parse(/const options = (.*);$/m.exec(script)?.[1] ?? '') as {
    initialWindows: {
      initialName: string;
      initialQuery: string;
      initialVariables: string;
      initialHeaders: { Authorization: string };
    }[];
    initialEnvironments: {
      activeSubEnvironment: string;
      subEnvironments: { id: string; variables: { token: string } }[];
    };
  };
  const { activeSubEnvironment, subEnvironments } = options.initialEnvironments;
  const token = subEnvironments.find(({ id }) => id === activeSubEnvironment)?.variables.token ?? '';

  const outcomes: Record<string, unknown> = {};
  for (const { initialName, initialQuery: query, initialVariables, initialHeaders } of options.initialWindows) {
    const response = await fetch(`${origin}/graphql`, {
      method: 'POST',
      headers: {
        authorization: initialHeaders.Authorization.replace('{{token}}', token),
        'content-type': 'application/json',
      },
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

  for (const path of ['', 'init.js', 'layout.css', 'main.js', 'styles.css']) {
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
