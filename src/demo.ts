import type { FastifyInstance } from 'fastify';
import { readConfig } from './config/config.js';
import { demoDefaults } from './config/environment.js';
import { startEmbeddedZitadel } from './embedded-zitadel/embedded-zitadel.js';
import { failingUsers, misbehaviours } from './embedded-zitadel/failing-users.js';
import { Outbox } from './embedded-zitadel/outbox.js';
import { tokens, users, type EmbeddedUser } from './embedded-zitadel/population.js';
import { graphqlPath } from './http/http-server.js';
import type { Examples } from './http/playground.js';
import { run } from './process.js';
import { startServer } from './server.js';

/** The initial contents of the playground. Each of its tabs can be sent without changes. */
const examples: Examples = {
  tokens,
  variables: {
    'contact-phone': { userId: users.unverified.userId },
    'set-contact-phone': { userId: users.phoneless.userId, number: '+41 79 555 01 03' },
    'verify-contact-phone': { userId: users.unverified.userId, verificationCode: 'WRONG1' },
    'remove-contact-phone': { userId: users.verified.userId },
    'resend-contact-phone-code': { userId: users.unverified.userId },
  },
};

await run(async (output) => {
  const outbox = new Outbox();
  const zitadel = await startEmbeddedZitadel({
    moreUsers: Object.values(failingUsers),
    misbehaviours,
    onSms(sms) {
      output.write(`SMS to ${sms.number || 'no number'}: ${sms.code} is your verification code.\n`);
      outbox.add(sms);
    },
  });
  const config = readConfig({ ...process.env, ZITADEL_URL: zitadel.url }, demoDefaults);
  const pages = (http: FastifyInstance) => outbox.serve(http, config.playground);
  const server = await startServer(config, { logTo: output, examples, pages });
  output.write(banner(server.url, config.playground, process.env['SMS_LIMITS'] || demoDefaults.SMS_LIMITS));
  return {
    logger: server.logger,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await zitadel[Symbol.asyncDispose]();
    },
  };
});

function banner(url: string, hasPlayground: boolean, smsLimits: string): string {
  const list = (rows: [string, string][]) => rows.map(([name, text]) => `  ${name.padEnd(36)}${text}`).join('\n');
  const listUsers = (all: Record<string, EmbeddedUser>) =>
    list(Object.values(all).map(({ userId, description }) => [userId, description]));
  const addresses: [string, string][] = [[`${url}/outbox`, 'the SMS that were "sent"']];
  if (hasPlayground) addresses.unshift([url, 'the playground']);
  return `
${list(addresses)}

The subgraph is at ${url}${graphqlPath}, in front of an embedded ZITADEL that loses its data when it stops.
Browsers may call it from ${process.env['CORS_ORIGINS'] || 'any port of localhost'}. SMS are "sent" as often as SMS_LIMITS=${smsLimits} allows.

Users
${listUsers(users)}

Users whose calls fail
${listUsers(failingUsers)}

Tokens
${list(Object.values(tokens).map(({ token, description }) => [token, description]))}
`;
}
