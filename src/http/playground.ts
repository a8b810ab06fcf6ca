import { readFileSync } from 'node:fs';
import fastifyStatic from '@fastify/static';
import { getDistDirectory, renderAltair, type RenderOptions } from 'altair-static';
import type { FastifyInstance } from 'fastify';

/** What the tabs begin with. */
export interface Examples {
  headers: Record<string, string>;
  /** By the name of the operation's file. */
  variables: Record<string, object>;
}

/** The example operations, by the names of their files, in the order of the journey; Altair opens the last. */
const tabs = [
  'contact-phone',
  'set-contact-phone',
  'verify-contact-phone',
  'remove-contact-phone',
  'resend-contact-phone-code',
];

const operations = new URL('../../schema/operations/', import.meta.url);

const prefix = '/playground/';
const initScript = 'init.js';

/**
 * Scripts come from this server alone, and talk to it alone. Of styles some are made on the page, and not all by parts that take a nonce.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves Altair at `/playground`, with a tab for each example operation, and leads there from `/`. */
export async function servePlayground(app: FastifyInstance, examples?: Examples): Promise<void> {
  const options: RenderOptions = {
    // Nothing that was typed, such as a token, stays in the browser.
    preserveState: false,
    disableAccount: true,
    initialSettings: {
      'schema.reloadOnStart': true,
      disablePushNotification: true,
      'alert.disableUpdateNotification': true,
    },
    initialWindows: tabs.map((name) => ({
      initialName: name,
      initialQuery: readFileSync(new URL(`${name}.graphql`, operations), 'utf8'),
      initialVariables: JSON.stringify(examples?.variables[name] ?? {}, null, 2),
      initialHeaders: examples?.headers ?? { Authorization: 'Bearer ' },
    })),
  };
  const page = renderAltair({ baseURL: prefix, serveInitialOptionsInSeperateRequest: initScript });
  const init = `
    const options = ${JSON.stringify(options)};
    // Altair takes no relative URL, and only the browser knows what this server is called.
    for (const tab of options.initialWindows) tab.endpointURL = new URL('/graphql', location).href;
    // It would else show an advertisement.
    localStorage.setItem('altair:db:ai-plugin-showcased', '{"value":true}');
    AltairGraphQL.init(options);
  `;

  await app.register(async (playground) => {
    playground.addHook('onSend', (_request, reply, payload, done) => {
      reply.header('content-security-policy', contentSecurityPolicy);
      reply.header('x-content-type-options', 'nosniff');
      reply.header('referrer-policy', 'no-referrer');
      done(null, payload);
    });
    for (const path of ['/', '/playground']) playground.get(path, (_request, reply) => reply.redirect(prefix));
    playground.get(prefix, (_request, reply) => reply.type('text/html; charset=utf-8').send(page));
    playground.get(prefix + initScript, (_request, reply) => reply.type('text/javascript; charset=utf-8').send(init));
    await playground.register(fastifyStatic, { root: getDistDirectory(), prefix, index: false, redirect: false });
  });
}
