const failure = ['failures', 'failure', 'errors'];

/**
 * The folders and top-level files of `src/` from top to bottom, each with the ones that it may import. Nothing imports upward. Importing a
 * type counts too.
 */
const rooms = {
  cli: ['main', 'demo', 'config', 'version'],
  main: ['server', 'process', 'config'],
  demo: ['server', 'process', 'http', 'config', 'embedded-zitadel'],
  server: [
    'graphql',
    'http',
    'contact-phone',
    'telemetry',
    'limits',
    'zitadel',
    'process',
    'logger',
    'config',
    'version',
  ],
  graphql: ['http', 'telemetry', 'contact-phone', 'limits', 'zitadel', 'logger', 'config', ...failure],
  http: ['config', ...failure],
  telemetry: ['zitadel', 'logger', 'config', 'version', ...failure],
  'contact-phone': ['limits', 'zitadel', 'config', ...failure],
  limits: ['config', ...failure],
  zitadel: ['config', ...failure],
  failures: ['failure', 'errors'],
  failure: ['errors'],
  errors: [],
  process: ['logger', 'config'],
  logger: ['pretty-log', 'config'],
  'pretty-log': [],
  config: [],
  version: [],
  'embedded-zitadel': [],
  'health-check': [],
};

const ours = '^(src|test|bench)/';
const room = (name) => `^src/${name}(/|\\.ts$)`;
const packages = (...names) => `^(node_modules/)?(${names.join('|')})(/|$)`;

const graphqlPackages = ['graphql', '@graphql-tools', 'type-graphql', '@apollo', '@escape\\.tech'];

/** Further rules: `from` must not import `to`. */
const others = [
  {
    name: 'no-circle',
    comment: 'Circular import: move what these files share into the lowest of them.',
    from: {},
    to: { circular: true },
  },
  {
    name: 'only-types-of-zitadel',
    comment: 'telemetry/ observes calls to ZITADEL and makes none, so it may import only types from zitadel/.',
    from: { path: room('telemetry') },
    to: { path: room('zitadel'), dependencyTypesNot: ['type-only'] },
  },
  {
    name: 'no-graphql-or-http-server',
    comment: 'limits/ and zitadel/ use neither GraphQL nor the HTTP server.',
    from: { path: room('(limits|zitadel)') },
    to: { path: packages(...graphqlPackages, 'fastify', '@fastify') },
  },
  {
    name: 'resolver-calls-the-service',
    comment: 'The resolver only calls the service: it uses neither ZITADEL nor sockets.',
    from: { path: '\\.resolver\\.ts$' },
    to: { path: [ours, packages('undici', 'fastify')], pathNot: room('contact-phone') },
  },
  {
    name: 'types-stand-alone',
    comment: 'The types of the schema import nothing from this repository.',
    from: { path: '\\.types\\.ts$' },
    to: { path: ours },
  },
  {
    name: 'service-without-graphql',
    comment: 'The service, and what it uses, import neither GraphQL nor its classes nor HTTP.',
    from: { path: 'contact-phone/(contact-phone\\.service|phone-changes|users|validation)\\.ts$' },
    to: { path: [packages(...graphqlPackages, 'undici', 'fastify'), '\\.(types|resolver)\\.ts$'] },
  },
  {
    name: 'errors-stand-alone',
    comment: 'Frontends may copy errors.ts, so it imports nothing at all.',
    from: { path: room('errors') },
    to: {},
  },
];

const mayImport = ([name, allowed]) => ({
  name,
  comment: `${name} imports ${allowed.length > 0 ? `only ${allowed.join(', ')}` : 'nothing from this repository'}: see .dependency-cruiser.js.`,
  from: { path: room(name) },
  to: { path: ours, pathNot: [name, ...allowed].map(room) },
});

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [...Object.entries(rooms).map(mayImport), ...others].map((rule) => ({ severity: 'error', ...rule })),
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
  },
};
