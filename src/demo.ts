import { readConfig } from './config.js';
import { demoDefaults } from './environment.js';
import { startEmbeddedZitadel } from './embedded-zitadel/embedded-zitadel.js';
import { tokens, users } from './embedded-zitadel/population.js';
import { graphqlPath } from './http/http-server.js';
import type { Examples } from './http/playground.js';
import { run } from './process.js';
import { startServer } from './server.js';

/** The initial contents of the playground's tabs. Each can be sent without changes. */
const examples: Examples = {
  headers: { Authorization: `Bearer ${tokens.manager.token}` },
  variables: {
    'contact-phone': { userId: users.unverified.userId },
    'set-contact-phone': { userId: users.phoneless.userId, number: '+41 79 555 01 03' },
    'verify-contact-phone': { userId: users.unverified.userId, verificationCode: 'WRONG1' },
    'remove-contact-phone': { userId: users.verified.userId },
    'resend-contact-phone-code': { userId: users.unverified.userId },
  },
};

await run(async (output) => {
  const zitadel = await startEmbeddedZitadel({
    onSms: ({ number, code }) => output.write(`SMS to ${number || 'no number'}: ${code} is your verification code.\n`),
  });
  const config = readConfig({ ...process.env, ZITADEL_URL: zitadel.url }, demoDefaults);
  const server = await startServer(config, { logTo: output, examples });
  output.write(banner(server.url, zitadel.outboxUrl, process.env['SMS_LIMITS'] || demoDefaults.SMS_LIMITS));
  return {
    logger: server.logger,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await zitadel[Symbol.asyncDispose]();
    },
  };
});

function banner(url: string, outboxUrl: string, smsLimits: string): string {
  const list = (rows: [string, string][]) => rows.map(([name, text]) => `  ${name.padEnd(36)}${text}`).join('\n');
  const query =
    `mutation { resendContactPhoneCode(userId: "${users.unverified.userId}", mode: RETURN_CODE) ` +
    '{ details { sequence changeDate resourceOwner } verificationCode } }';
  return `
The subgraph is at ${url}${graphqlPath}, in front of an embedded ZITADEL, whose data is lost when it stops.

  ${url}/playground   to explore it in a browser
  ${outboxUrl}       the SMS that were "sent"

Users
${list(Object.values(users).map(({ userId, description }) => [userId, description]))}

Tokens
${list(Object.values(tokens).map(({ token, description }) => [token, description]))}

Or try this in another terminal. Without the mode, an SMS is "sent" and shown here, as often as SMS_LIMITS=${smsLimits} allows:

curl ${url}${graphqlPath} \\
  -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer ${tokens.manager.token}' \\
  -d '${JSON.stringify({ query })}'
`;
}
