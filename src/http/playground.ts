import { readFileSync } from 'node:fs';
import fastifyStatic from '@fastify/static';
import { getDistDirectory, renderAltair, type RenderOptions } from 'altair-static';
import type { FastifyInstance } from 'fastify';
import { specifiedDirectives } from 'graphql';
import { graphqlPath } from './http-server.js';

/** The initial contents of the playground. */
export interface Examples {
  /** By name. The playground offers each one as an environment; the first is active. */
  tokens: Record<string, { description: string; token: string }>;
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
const styleSheet = 'layout.css';

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

/** Without these, the description of a token would cover tabs, and on phones, the send button would be cut off. */
const styles = `
/* Nothing is saved. */
[track-id="save_to_collection"], [track-id="show_collections"] { display: none; }

.header__menu-item > span { display: block; max-width: 15em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.environments-dropdown__list { max-width: calc(100vw - 1em); }
.environments-dropdown__list li { white-space: normal; }

@media (max-width: 700px) {
  /* The tabs have a row of their own. */
  app-header { flex-wrap: wrap; height: auto; }
  app-window-switcher { order: 1; flex: 0 0 100%; }
  .header__actions { margin-left: auto; }

  /* The URL gives way to the send button. */
  .url-box__method-wrapper, [track-id="export_window"] { display: none; }
  .url-box__input-wrapper { min-width: 0; }
  .url-box .send-request__wrapper { flex: none; }
  .url-box .send-request__button { white-space: nowrap; }

  /* The answer is below the query. */
  as-split.as-horizontal { display: flex; flex-direction: column; }
  as-split.as-horizontal > .as-split-area { flex: 2; min-height: 0; }
  as-split.as-horizontal > .as-split-area:has(app-query-editor, app-doc-viewer) { flex: 3; }
  as-split.as-horizontal > :is(.as-split-gutter, .as-hidden), .variables-files-container { display: none; }
}
`;

const script = (options: RenderOptions): string => `
const options = ${JSON.stringify(options)};
// Altair does not accept a relative URL, and only the browser knows the public host name.
for (const tab of options.initialWindows) tab.endpointURL = new URL('${graphqlPath}', location).href;
// Suppresses an advertisement.
localStorage.setItem('altair:db:ai-plugin-showcased', '{"value":true}');
// Otherwise the browser would store all input, such as a token: Altair writes its state even with preserveState off.
indexedDB.deleteDatabase('AltairDB');
IDBObjectStore.prototype.put = IDBObjectStore.prototype.add = function () { return this.count(); };

// Only gateways need federation's part of the schema. In the docs it would hide what clients can use.
const isForClients = ({ name }) => !/^_[^_]|.__/.test(name);
const withoutFederation = ({ types, directives, ...schema }) => ({
  ...schema,
  types: types.filter(isForClients).map((type) => ({ ...type, fields: type.fields?.filter(isForClients) ?? null })),
  directives: directives.filter(({ name }) => ${JSON.stringify(specifiedDirectives.map(({ name }) => name))}.includes(name)),
});
const send = window.fetch;
window.fetch = (url, request) => {
  if (!request?.body?.includes?.('IntrospectionQuery')) return send(url, request);
  return send(url, request).then((response) => response.json().then((answer) => {
    if (answer.data?.__schema) answer.data.__schema = withoutFederation(answer.data.__schema);
    return new Response(JSON.stringify(answer), response);
  }));
};

// Altair has no settings for the following. Some clickable elements have no name, or cannot be reached with the keyboard.
const clickable = '.window-switcher__item, .header__menu-item, .side-menu-item, [nz-menu-item]';
addEventListener('keydown', ({ key, target }) => {
  if (key !== 'Enter' || !target.matches(clickable)) return;
  target.click();
  setTimeout(() => document.querySelector('[nz-menu-item]')?.focus());
});
new MutationObserver(() => {
  for (const title of document.querySelectorAll('[track-id="toggle_variables"]:not([data-opened])')) {
    title.dataset.opened = '';
    title.click();
    document.querySelector('.window-switcher__item--active')?.scrollIntoView();
  }
  for (const button of document.querySelectorAll('.url-box__button:has(app-icon):not([aria-label])')) {
    button.ariaLabel = button.getAttribute('track-id').replaceAll('_', ' ');
  }
  for (const element of document.querySelectorAll(':is(' + clickable + '):not([tabindex])')) element.tabIndex = 0;
}).observe(document.body, { childList: true, subtree: true });

AltairGraphQL.init(options);
`;

/** Serves Altair at `/playground`, with a tab for each example operation, and redirects `/` there. */
export async function servePlayground(app: FastifyInstance, examples?: Examples): Promise<void> {
  const options: RenderOptions = {
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
      initialHeaders: { Authorization: examples ? 'Bearer {{token}}' : 'Bearer ' },
    })),
    ...(examples && { initialEnvironments: environments(examples.tokens) }),
  };
  const page = renderAltair({ baseURL: prefix, serveInitialOptionsInSeperateRequest: initScript })
    .replace('<html>', '<html lang="en">')
    .replace('</head>', `<link href="${styleSheet}" rel="stylesheet" /></head>`);
  const init = script(options);

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
    playground.get(prefix + styleSheet, (_request, reply) => reply.type('text/css; charset=utf-8').send(styles));
    await playground.register(fastifyStatic, { root: getDistDirectory(), prefix, index: false, redirect: false });
  });
}

function environments(tokens: Examples['tokens']): RenderOptions['initialEnvironments'] {
  const subEnvironments = Object.entries(tokens).map(([name, { description, token }]) => ({
    id: name,
    title: `${name} – ${description}`,
    variables: { token },
  }));
  return { activeSubEnvironment: subEnvironments[0]?.id, subEnvironments };
}
