import type { ErrorExtensions, ZitadelAnswer } from '../../src/errors.js';

type KeyOfUnion<T> = T extends unknown ? keyof T : never;

/** Every key that the extensions of an error can have. The compiler reports one that is missing or extra. */
export const extensionKeys = Object.keys({
  code: true,
  reason: true,
  outcome: true,
  argument: true,
  retryAfter: true,
  attemptsLeft: true,
  userId: true,
  zitadel: true,
} satisfies Record<KeyOfUnion<ErrorExtensions>, true>);

/** Every key that `zitadel` in the extensions can have. */
export const zitadelKeys = Object.keys({
  code: true,
  status: true,
  httpStatus: true,
  id: true,
  message: true,
  details: true,
} satisfies Record<keyof ZitadelAnswer, true>);
