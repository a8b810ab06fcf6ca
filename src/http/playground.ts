import { readFileSync } from 'node:fs';
import fastifyStatic from '@fastify/static';
import { getDistDirectory, renderAltair, type RenderOptions } from 'altair-static';
import type { FastifyInstance } from 'fastify';
import { graphqlPath } from './http-server.js';

/** The initial contents of the tabs. */
export interface Examples {
  headers: Record<string, string>;
  /** By the file name of the operation. */
  variables: Record<string, object>;
}

/** The file names of the example operations, in the order in which a user needs them. Altair opens the last one. */
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
 * Scripts may only come from this server, and only connect to it. Styles may be inline: some are created by code that supports no nonce.
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

/** Serves Altair at `/playground`, with a tab for each example operation, and redirects `/` there. */
export async function servePlayground(app: FastifyInstance, examples?: Examples): Promise<void> {
  const options: RenderOptions = {
    // Do not store input, such as a token, in the browser.
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
    // Altair does not accept a relative URL, and only the browser knows the public host name.
    for (const tab of options.initialWindows) tab.endpointURL = new URL('${graphqlPath}', location).href;
    // Suppresses an advertisement.
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
