import { expect, test } from 'vitest';
import { failingUsers } from '../../src/embedded-zitadel/failing-users.js';
import { users } from '../../src/embedded-zitadel/population.js';
import { errors } from '../../src/errors.js';
import { seriousViolations } from '../browser/axe.js';
import { openApp } from '../browser/example-app.js';
import { number, userId } from '../support/phone-screen.js';

// The example app of docs/frontend.md, in a real browser.

test('shows, sets, counts down, resends, verifies and removes a phone', async () => {
  await using app = await openApp();
  const { page, stage, clock, complaints, sent, button, submit, says, picture } = app;

  await page.getByLabel('Phone number').waitFor();
  await picture('none');
  await submit('Phone number', '+41 79 555 01 03', 'Send code');
  await says('We sent you a code by SMS.');
  await says('You can do this in 30 s.');
  expect(await button('Send a new code').isDisabled()).toBe(true);
  await picture('countdown', 'light', 'dark');

  await page.reload();
  await says(number);
  await says('You can do this in 30 s.');
  clock.move(30);
  await page.clock.runFor(30_000);
  await button('Send a new code').dblclick();
  await says('We sent you a new code by SMS.');
  await says('You can do this in 30 s.');

  await submit('Code', 'WRONG1', 'Verify');
  await says('The verification code is wrong, has expired, or has already been used. Attempts left: 4.');
  await picture('wrong-code');
  await submit('Code', stage.zitadel.pendingCode(userId) ?? '', 'Verify');
  await says('Your phone is verified.');
  await picture('verified');
  await button('Remove').click();
  await says('Your phone is removed.');
  await page.getByLabel('Phone number').waitFor();

  expect(stage.zitadel.writes.map(({ rpc }) => rpc)).toEqual([
    'SetPhone',
    'ResendPhoneCode',
    'VerifyPhone',
    'VerifyPhone',
    'RemovePhone',
  ]);
  expect(stage.zitadel.outbox).toHaveLength(2);
  expect(sent).toEqual([
    ...['ContactPhone', 'SetContactPhone'],
    ...['ContactPhone', 'ResendContactPhoneCode'],
    ...['VerifyContactPhone', 'ContactPhone', 'VerifyContactPhone', 'RemoveContactPhone'],
  ]);
  expect(complaints).toEqual([]);
});

test('a lost answer never shows a false failure or success, and no write is repeated', async () => {
  await using app = await openApp(userId, { connection: 'close' });
  const { page, stage, clock, balancer, button, submit, says, picture } = app;
  const rpcs = () => stage.zitadel.writes.map(({ rpc }) => rpc);

  await page.getByLabel('Phone number').waitFor();
  balancer.disturb('lost');
  await submit('Phone number', '+41 79 555 01 03', 'Send code');
  await says('Your number is saved. An SMS may have been sent.');
  await says('You can do this in 30 s.');
  await picture('set-lost');
  expect(rpcs()).toEqual(['SetPhone']);

  clock.move(30);
  await page.clock.runFor(30_000);
  balancer.disturb('lost');
  await button('Send a new code').click();
  await says('An SMS may have been sent.');
  await says('You can do this in 30 s.');
  await picture('resend-lost', 'light', 'dark');
  expect(rpcs()).toEqual(['SetPhone', 'ResendPhoneCode']);

  // The request does not arrive.
  balancer.disturb('unreachable');
  await submit('Code', stage.zitadel.pendingCode(userId) ?? '', 'Verify');
  await says('We do not know whether that worked.');
  await says('Not verified');
  expect(rpcs()).toHaveLength(2);
  // The gateway's own error.
  balancer.disturb('late');
  await button('Verify').click();
  await says('Your phone is verified.');

  // Nor can the phone be read.
  balancer.disturb('lost', 'unreachable');
  await button('Remove').click();
  await says('We do not know whether that worked.');
  await says('We cannot show your phone right now.');
  expect(await page.getByText(number).count()).toBe(0);
  await picture('read-lost');
  await button('Check again').click();
  await page.getByLabel('Phone number').waitFor();
  expect(rpcs()).toEqual(['SetPhone', 'ResendPhoneCode', 'VerifyPhone', 'RemovePhone']);
  expect(stage.zitadel.outbox).toHaveLength(2);
});

test('a mutation that the browser itself repeats shows no false failure, and sends no second SMS', async () => {
  await using app = await openApp();
  const { page, stage, clock, balancer, button, submit, says } = app;
  const outcomes = () => [stage.zitadel.writes.map(({ rpc }) => rpc), stage.zitadel.outbox.length];

  await page.getByLabel('Phone number').waitFor();
  balancer.disturb('lost');
  await submit('Phone number', number, 'Send code');
  await says('Your number is saved. An SMS may have been sent.');
  expect(outcomes()).toEqual([['SetPhone'], 1]);

  clock.move(30);
  await page.clock.runFor(30_000);
  balancer.disturb('lost');
  await button('Send a new code').click();
  await says('An SMS may have been sent.');
  expect(await page.getByText('Too many SMS').count()).toBe(0);
  expect(outcomes()).toEqual([['SetPhone', 'ResendPhoneCode'], 2]);

  balancer.disturb('lost');
  await submit('Code', stage.zitadel.pendingCode(userId) ?? '', 'Verify');
  await says('Your phone is verified.');
  balancer.disturb('lost');
  await button('Remove').click();
  await says('Your phone is removed.');
  await page.getByLabel('Phone number').waitFor();
});

test('shows a change as made, even if the user could not be read after it', async () => {
  await using app = await openApp(users.unverified.userId);
  const { stage, button, says } = app;

  await says('Not verified');
  const fine = { hold: Promise.resolve() };
  const failed = { answer: { status: 503 } };
  // The look before the SMS, the SMS, and the read after it, which is repeated once.
  stage.zitadel.misbehave(fine, fine, failed, failed);
  await button('Send a new code').click();

  await says('We sent you a new code by SMS.');
  await says('You can do this in 30 s.');
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('says that an SMS may have been sent if a write is not answered in time', async () => {
  await using app = await openApp(failingUsers.slow.userId);

  await app.button('Send a new code').click();

  await app.says('An SMS may have been sent.');
  await app.says('You can do this in 30 s.');
  await app.picture('slow');
  expect(app.stage.zitadel.writes).toHaveLength(1);
});

test('shows a text for each other user whose calls fail', async () => {
  await using app = await openApp();
  const { page, button, says, picture, stage } = app;
  const screens = [
    ['unavailable', failingUsers.unavailable, 'Check again', 'The user service is temporarily unavailable.', 0],
    ['lost', failingUsers.lost, 'Remove', 'Your phone is removed.', 1],
    ['limited', failingUsers.limited, 'Send a new code', errors.RATE_LIMITED.reasons.UPSTREAM_QUOTA, 1],
    [
      ...(['uninitialised', users.uninitialised, 'Send a new code'] as const),
      ...([errors.FAILED_PRECONDITION.reasons.USER_NOT_INITIALIZED, 0] as const),
    ],
  ] as const;

  for (const [name, user, action, text, writes] of screens) {
    const before = stage.zitadel.writes.length;
    await page.goto(`${new URL(page.url()).origin}/?user=${user.userId}`);
    await button(action).click();
    await says(text);
    await picture(name);
    expect(stage.zitadel.writes.length - before, name).toBe(writes);
  }
});

test('axe finds nothing serious, in light and in dark', async () => {
  await using app = await openApp();
  const { page, submit, says } = app;
  // axe waits for timers.
  await page.clock.resume();
  const check = async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await seriousViolations(page), colorScheme).toEqual([]);
    }
  };

  await page.getByLabel('Phone number').waitFor();
  await check();
  await submit('Phone number', number, 'Send code');
  await says('We sent you a code by SMS.');
  await check();
  await submit('Code', 'WRONG1', 'Verify');
  await says('The verification code is wrong, has expired, or has already been used. Attempts left: 4.');
  await check();
});
