import { hash } from 'node:crypto';
import { createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';

// Preloaded into the product's process: adds users to its limits. Each SMS passes the limits like a real one, but without HTTP and ZITADEL, so
// a million take seconds instead of minutes.

interface SmsLimit {
  run(
    sms: { userId: string; number: string; country: string },
    caller: { tokenKey: string; subject: undefined; isGone(): boolean },
    leftMs: number,
    call: () => Promise<void>,
    outcomeOf: () => 'DONE',
  ): Promise<unknown>;
}

const file = new URL('../../dist/limits/sms-limit.js', import.meta.url);
const { prototype } = ((await import(file.href)) as { SmsLimit: { prototype: SmsLimit } }).SmsLimit;
const { run } = prototype;
let limit: SmsLimit | undefined;
const use = (found: SmsLimit) => {
  limit = found;
};
// The first SMS shows which limit this process uses.
prototype.run = function (...call) {
  use(this);
  prototype.run = run;
  return run.apply(this, call);
};

/** A flat string, as a parser makes it. A concatenated one takes more memory. */
const parsed = (text: string) => JSON.parse(JSON.stringify(text)) as string;

/** For a user that nothing else in the bench uses, with their own number and token. */
async function sendSms(n: number): Promise<void> {
  const digits = String(n).padStart(7, '0');
  const userId = parsed(`30300000000${digits}`);
  const caller = { tokenKey: hash('sha256', digits, 'base64url'), subject: undefined, isGone: () => false };
  const sms = { userId, number: parsed(`+4178${digits}`), country: 'CH' };
  await limit?.run(
    sms,
    caller,
    1_000,
    () => Promise.resolve(),
    () => 'DONE',
  );
}

const perTurn = 1_000;

/** @returns the longest time that one SMS took, in milliseconds, such as while a map grew or garbage was collected */
async function fill(from: number, to: number): Promise<number> {
  let longest = 0;
  for (let n = from; n < to; n += 1) {
    if (n % perTurn === 0) await turn();
    const began = performance.now();
    await sendSms(n);
    longest = Math.max(longest, performance.now() - began);
  }
  return longest;
}

const server = createServer((request, response) => {
  const [from = 0, to = 0] = request.url?.slice(1).split('-').map(Number) ?? [];
  void fill(from, to).then((longest) => response.end(limit ? String(longest) : 'There was no SMS yet.'));
});
server.listen(Number(process.env['FILL_PORT']), '127.0.0.1');
server.unref();
