import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createViteServer } from 'vitest/node';
import { failingUsers, misbehaviours } from '../../src/embedded-zitadel/failing-users.js';
import { demoDefaults } from '../../src/config/environment.js';
import { openBalancer } from '../support/balancer.js';
import { stopClock } from '../support/clock.js';
import { userId } from '../support/phone-screen.js';
import { openStage } from '../support/stage.js';
import { openPage } from './chromium.js';

// Shared, so that Vite prepares React and Apollo Client only once.
const cacheDir = mkdtempSync(join(tmpdir(), 'contact-phone-vite-'));
afterAll(() => rmSync(cacheDir, { recursive: true, maxRetries: 5 }));

/** Serves the app as `npx vite` does. */
async function serveApp(endpoint: string) {
  const vite = await createViteServer({
    configFile: false,
    root: 'test/clients',
    cacheDir,
    logLevel: 'warn',
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null },
    plugins: [
      {
        name: 'endpoint',
        transform: (code, id) =>
          id.endsWith('/main.tsx') ? code.replace('http://127.0.0.1:4001/graphql', endpoint) : undefined,
      },
    ],
  });
  await vite.listen();
  return {
    origin: vite.resolvedUrls?.local[0]?.replace(/\/$/, '') ?? '',
    [Symbol.asyncDispose]: () => vite.close(),
  };
}

/** The app in a browser, in front of a load balancer, the subgraph, and the embedded ZITADEL. */
export async function openApp(user: string = userId, answerHeaders: Record<string, string> = {}) {
  const clock = stopClock();
  const { CORS_ORIGINS, SMS_LIMITS } = demoDefaults;
  const stage = await openStage(
    // Nothing answers the writes of the slow user.
    {
      CORS_ORIGINS,
      SMS_LIMITS,
      VERIFY_LIMIT: '5/10m',
      ...(user === failingUsers.slow.userId && { ZITADEL_TIMEOUT_MS: '1000' }),
    },
    { moreUsers: Object.values(failingUsers), misbehaviours },
  );
  const balancer = await openBalancer(stage.graphql, answerHeaders);
  const app = await serveApp(balancer.url);
  const browser = await openPage([app.origin, new URL(balancer.url).origin]);
  const { page, complaints } = browser;
  // Playwright answers preflights itself while it intercepts requests.
  await page.unrouteAll();
  // The browser's clock is wrong, and stands still too.
  const start = Date.now() + 420_000;
  await page.clock.install({ time: start });
  await page.clock.pauseAt(start + 1000);
  const sent: (string | undefined)[] = [];
  page.on('request', (request) => {
    if (request.method() !== 'POST') return;
    sent.push((request.postDataJSON() as { operationName?: string } | null)?.operationName);
  });
  await page.goto(`${app.origin}/?user=${user}`);
  const button = (name: string) => page.getByRole('button', { name });
  return {
    clock,
    stage,
    balancer,
    page,
    complaints,
    /** The operations that the app sent. */
    sent,
    button,
    /** Fills in the only field, and sends the form. */
    submit: async (label: string, value: string, action: string) => {
      await page.getByLabel(label).fill(value);
      await button(action).click();
    },
    /** Resolves when the page shows this text. */
    says: (text: string) => page.getByText(text).waitFor(),
    /** For people to look at; ignored by git. */
    picture: async (step: string, ...colorSchemes: ('light' | 'dark')[]) => {
      for (const colorScheme of colorSchemes.length > 0 ? colorSchemes : ['light' as const]) {
        await page.emulateMedia({ colorScheme });
        for (const width of [390, 1440]) {
          await page.setViewportSize({ width, height: 800 });
          await page.screenshot({ path: `test/artefacts/phone-screen-${step}-${width}-${colorScheme}.png` });
        }
      }
    },
    async [Symbol.asyncDispose]() {
      for (const opened of [browser, app, balancer, stage]) await opened[Symbol.asyncDispose]();
    },
  };
}
