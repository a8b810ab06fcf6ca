import { expect, onTestFinished, vi } from 'vitest';
import { users } from '../../src/embedded-zitadel/population.js';
import type { stopClock } from './clock.js';
import type { openStage, OperationName, Phone } from './stage.js';

/** A frontend that shows the phone of `phoneless`, with any GraphQL client. */
export interface PhoneScreen {
  /** The phone that it shows now; undefined before the first answer. */
  shown: () => Phone | undefined;
  /** Runs the mutation of that name, and throws its error. */
  run: (name: Exclude<OperationName, 'contact-phone'>, variables: Record<string, string>) => Promise<unknown>;
}

export const { userId } = users.phoneless;
export const number = '+41795550103';

/** `SMS_LIMITS` for the journey. */
export const oneInHalfAMinute = '1/30s,5/10m';

/** Silences the console until the test ends, and returns what was written to it. */
export function silenceConsole(): () => unknown[][] {
  const levels = (['warn', 'error'] as const).map((level) => vi.spyOn(console, level).mockReturnValue());
  onTestFinished(() => {
    for (const level of levels) level.mockRestore();
  });
  return () => levels.flatMap(({ mock }) => mock.calls);
}

/** Sets the phone, resends its code, verifies and removes it. After each step, the screen must show what is true. */
export async function checkJourney(
  { shown, run }: PhoneScreen,
  { zitadel }: Pick<Awaited<ReturnType<typeof openStage>>, 'zitadel'>,
  clock: ReturnType<typeof stopClock>,
): Promise<void> {
  expect(shown()).toBeNull();

  await run('set-contact-phone', { userId, number });
  expect(shown()).toMatchObject({ number, isVerified: false, resendAvailableAt: clock.in(30) });

  clock.move(30);
  await run('resend-contact-phone-code', { userId });
  expect(shown()).toMatchObject({ number, isVerified: false, resendAvailableAt: clock.in(30) });

  await run('verify-contact-phone', { userId, verificationCode: zitadel.pendingCode(userId) ?? '' });
  expect(shown()).toMatchObject({ number, isVerified: true, resendAvailableAt: clock.in(30) });

  await run('remove-contact-phone', { userId });
  expect(shown()).toBeNull();
}

/** The calls to ZITADEL if the screen reads the phone once, before the journey. */
export const rpcsOfJourney = [
  ...['GetUserByID'],
  ...['GetUserByID', 'SetPhone'],
  ...['GetUserByID', 'ResendPhoneCode', 'GetUserByID'],
  ...['VerifyPhone', 'GetUserByID'],
  ...['RemovePhone'],
];
