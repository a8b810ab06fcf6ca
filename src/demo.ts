import { readConfig } from './config.js';
import { startEmbeddedZitadel } from './embedded-zitadel/embedded-zitadel.js';
import { tokens, users } from './embedded-zitadel/population.js';
import { run } from './run.js';
import { startServer } from './server.js';

/** Production allows less, for which a tour would have to wait. */
const defaults = { HOST: '127.0.0.1', INTROSPECTION: 'true', LOG_LEVEL: 'warn', SMS_LIMITS: '5/1m' };

await run(async () => {
  const zitadel = await startEmbeddedZitadel({
    onSms: ({ number, code }) => console.log(`SMS to ${number}: ${code} is your verification code.`),
  });
  const server = await startServer(readConfig({ ...process.env, ZITADEL_URL: zitadel.url }, defaults));
  console.log(banner(server.url, process.env['SMS_LIMITS'] || defaults.SMS_LIMITS));
  return {
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await zitadel[Symbol.asyncDispose]();
    },
  };
});

function banner(url: string, smsLimits: string): string {
  const list = (rows: [string, string][]) => rows.map(([name, text]) => `  ${name.padEnd(36)}${text}`).join('\n');
  const query =
    `mutation { resendContactPhoneCode(userId: "${users.unverified.userId}", mode: RETURN_CODE) ` +
    '{ details { sequence changeDate resourceOwner } verificationCode } }';
  return `
The subgraph is at ${url}/graphql, in front of an embedded ZITADEL that forgets everything when it ends.

Users
${list(Object.values(users).map(({ userId, description }) => [userId, description]))}

Tokens
${list(Object.values(tokens).map(({ token, description }) => [token, description]))}

Try this in another terminal; without the mode, an SMS is "sent" and shown here, as often as SMS_LIMITS=${smsLimits} allows:

curl ${url}/graphql \\
  -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer ${tokens.manager.token}' \\
  -d '${JSON.stringify({ query })}'
`;
}
