import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime';
import { composeServices } from '@theguild/federation-composition';
import { parse } from 'graphql';
import { gatewayConfig } from './gateway.config.js';
import { typeDefs, users } from './users.js';

// `npm run demo:supergraph`: the demo, a subgraph that owns users, and a gateway in front of both. Only for this machine.

const file = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const demo = spawn(process.execPath, [file('dist/demo.js')], { stdio: ['inherit', 'pipe', 'inherit'] });
const ended = once(demo, 'exit');
// This process ends after the demo. `on`, not `once`: a second signal must not end this process before the demo.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal));
// Also after an uncaught error.
process.on('exit', () => demo.kill());

let held = '';
let isStarted = false;
for await (const chunk of demo.stdout.setEncoding('utf8')) {
  held += chunk;
  // The demo prints its address once it accepts requests.
  const [, contactPhone] = /(http:\S+\/graphql)/.exec(held) ?? [];
  if (!isStarted && contactPhone === undefined) continue;
  if (!isStarted) process.stdout.write(introduction(await startGateway(contactPhone).catch(fail)));
  isStarted = true;
  process.stdout.write(held);
  held = '';
}
const [exitCode] = await ended;
process.exit(exitCode ?? 1);

/** @param {Error} error such as a port that is in use */
function fail({ message }) {
  console.error(`The gateway did not start: ${message}. GATEWAY_PORT sets its port.`);
  process.exit(1);
}

/** @param {string} contactPhone the address of the demo's subgraph */
async function startGateway(contactPhone) {
  const subgraphs = [
    {
      name: 'contact-phone',
      url: contactPhone,
      typeDefs: parse(readFileSync(file('schema/contact-phone.graphql'), 'utf8')),
    },
    { name: 'users', url: await listen(users, 0), typeDefs },
  ];
  const { supergraphSdl: supergraph, errors } = composeServices(subgraphs);
  if (errors) throw new AggregateError(errors, 'The subgraphs do not compose');
  const gateway = createGatewayRuntime({ ...gatewayConfig, supergraph, cors, logging: false });
  return listen(gateway, Number(process.env.GATEWAY_PORT || 4000));
}

/** @returns {Promise<string>} the address of the GraphQL endpoint */
async function listen(handler, port) {
  const server = createServer(handler).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}/graphql`;
}

/** A frontend may run at any port of this machine. */
function cors(request) {
  const origin = request.headers.get('origin') ?? '';
  if (!/^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/.test(origin)) return false;
  return { origin, credentials: false, exposedHeaders: ['date', 'x-request-id'], maxAge: 7200 };
}

/** @param {string} url the address of the gateway */
function introduction(url) {
  const query =
    '{ users(ids: ["301000000000000101", "301000000000000103"]) { name contactPhone { number isVerified } } }';
  return `
The supergraph is at ${url}: a gateway in front of the demo below and a subgraph that owns users.
Try this in another terminal:

curl ${url} \\
  -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer embedded-token-of-the-manager' \\
  -d '${JSON.stringify({ query })}'
`;
}
