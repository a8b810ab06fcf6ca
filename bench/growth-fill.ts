import { hash } from 'node:crypto';
import { createServer } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';

// Preloaded into the product's process: lets its limits count SMS that were never asked for. They take the way of all others from where the
// user was read, to where the SMS was sent: so a million take seconds, not minutes.

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

/** A string as a parser makes it. Strings that were put together take more memory. */
const parsed = (text: string) => JSON.parse(JSON.stringify(text)) as string;

/** Of a user that nothing else in the bench asks for, who have numbers and tokens of their own. */
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

/** @returns the longest that one SMS took, in milliseconds: growing a map, or collecting garbage */
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
