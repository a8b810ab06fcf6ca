import type { Sms } from './commands.js';

/** A page with the SMS so far, latest first, that refreshes itself. It needs no scripts, so it allows none. */
export const outboxHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  refresh: '2',
};

export function outboxPage(outbox: readonly Sms[]): string {
  // Numbers and codes are ZITADEL's own, digits and letters; a user id comes from the population.
  const rows = outbox
    .toReversed()
    .map(({ userId, number, code }) => `<tr><td>${number}</td><td>${code}</td><td>${userId}</td></tr>`)
    .join('\n');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Outbox (${outbox.length})</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { border-bottom: 1px solid #ddd; padding: .4rem .8rem .4rem 0; text-align: left }
  td:nth-child(2) { font: 1.1rem ui-monospace, monospace }
</style>
<h1>Outbox</h1>
<p>The SMS that the embedded ZITADEL would have sent, the latest first. It forgets them when it ends.</p>
<table>
<thead><tr><th>To</th><th>Verification code</th><th>User</th></tr></thead>
<tbody>
${rows || '<tr><td colspan="3">Nothing yet: send a mutation, such as the resend in the playground.</td></tr>'}
</tbody>
</table>
</html>
`;
}
