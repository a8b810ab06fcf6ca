import { z } from 'zod';
import type { EmbeddedUser } from './population.js';
import { Refusal } from './refusal.js';

/** Parses proto3 JSON: drops unknown fields, and refuses messages in any other shape. */
export function readMessage<T>(message: z.ZodType<T>, body: unknown): T {
  const { data, success } = message.safeParse(body);
  if (!success) throw new Refusal(3, 'proto: syntax error');
  return data;
}

export function checkUserIdLength(userId: string): void {
  if (!/^.{1,200}$/su.test(userId))
    throw new Refusal(3, 'invalid UserId: value length must be between 1 and 200 runes');
}

/** At most one field of a oneof may be set. */
const atMostOne = (...fields: unknown[]) => fields.filter((field) => field !== undefined).length <= 1;

/** No mode set means "send" to ZITADEL. */
export const resendPhoneCodeRequest = z
  .object({ sendCode: z.object({}).optional(), returnCode: z.object({}).optional() })
  .refine(({ sendCode, returnCode }) => atMostOne(sendCode, returnCode));

export const setPhoneRequest = z
  .object({
    phone: z.string().max(200).default(''),
    sendCode: z.object({}).optional(),
    returnCode: z.object({}).optional(),
    isVerified: z.literal(true).optional(),
  })
  .refine(({ sendCode, returnCode, isVerified }) => atMostOne(sendCode, returnCode, isVerified));

export const verifyPhoneRequest = z.object({ verificationCode: z.string().regex(/^.{1,20}$/su) });

export const listUsersRequest = z.object({
  query: z.object({ limit: z.int().min(0).default(0), asc: z.boolean().default(false) }).prefault({}),
  queries: z
    .array(z.object({ inUserIdsQuery: z.object({ userIds: z.array(z.string()).default([]) }).optional() }))
    .default([]),
});

/** A user as ZITADEL sends it, without zero values. */
export function userMessage(user: EmbeddedUser & { details: object }): object {
  const { userId, details, state, description } = user;
  const username = `user-${userId}`;
  return {
    userId,
    details,
    state: state === 'active' ? 'USER_STATE_ACTIVE' : 'USER_STATE_INITIAL',
    username,
    loginNames: [username],
    preferredLoginName: username,
    ...(user.kind === 'machine'
      ? { machine: { name: username, description } }
      : { human: { profile: { givenName: 'Someone', familyName: `who ${description}` }, phone: phoneMessage(user) } }),
  };
}

/** A human without a phone has an empty one. */
function phoneMessage({ phone }: EmbeddedUser): object {
  return phone ? { phone: phone.number, ...(phone.isVerified && { isVerified: true }) } : {};
}
