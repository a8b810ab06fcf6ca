import { z } from 'zod';

// The messages of ZITADEL's user service v2 that we send and read, in proto3 JSON.
// Zero values are omitted, and null means omitted: https://protobuf.dev/programming-guides/json/

export type PhoneCodeMode = 'SEND_CODE' | 'RETURN_CODE';

export type SetPhoneMode = PhoneCodeMode | 'MARK_VERIFIED';

/** ZITADEL reads an empty or misspelt mode as "send an SMS", so each is spelled out here, and always sent. */
const verification: Record<SetPhoneMode, object> = {
  SEND_CODE: { sendCode: {} },
  RETURN_CODE: { returnCode: {} },
  MARK_VERIFIED: { isVerified: true },
};

export function setPhoneRequest(phone: string, mode: SetPhoneMode): string {
  return JSON.stringify({ phone, ...verification[mode] });
}

export const resendPhoneCodeRequest: Record<PhoneCodeMode, string> = {
  SEND_CODE: JSON.stringify(verification.SEND_CODE),
  RETURN_CODE: JSON.stringify(verification.RETURN_CODE),
};

export function verifyPhoneRequest(verificationCode: string): string {
  return JSON.stringify({ verificationCode });
}

/** Without `limit`, ZITADEL's default limit would truncate longer lists. */
export function listUsersRequest(userIds: readonly string[]): string {
  return JSON.stringify({
    query: { limit: userIds.length },
    queries: [{ inUserIdsQuery: { userIds } }],
  });
}

/** What an omitted value stands for. */
const omitted = (zero: string) =>
  z
    .null()
    .optional()
    .transform(() => zero);

const objectDetails = z.object({
  sequence: z.string().regex(/^\d+$/).or(omitted('0')),
  changeDate: z.iso.datetime({ offset: true }),
  resourceOwner: z.string().or(omitted('')),
});

/** VerifyPhoneResponse and RemovePhoneResponse. */
export type ChangeResponse = z.infer<typeof changeResponse>;

export const changeResponse = z.object({ details: objectDetails });

/** SetPhoneResponse and ResendPhoneCodeResponse: with the code in the mode RETURN_CODE. */
export type CodeResponse = z.infer<typeof codeResponse>;

export const codeResponse = changeResponse.extend({ verificationCode: z.string().nullish() });

const humanPhone = z.object({ phone: z.string().nullish(), isVerified: z.boolean().nullish() });

type UserMessage = z.infer<typeof userMessage>;

const userMessage = z.object({
  userId: z.string(),
  human: z.object({ phone: humanPhone.nullish() }).nullish(),
  machine: z.object({}).nullish(),
});

const isOfAKind = ({ human, machine }: UserMessage) => Boolean(human ?? machine);
const must = 'must be a human or a machine';

/** The parts of a user that concern the contact phone. `phone` is null if they have none; machines never have one. */
export interface ZitadelUser {
  userId: string;
  isMachine: boolean;
  phone: Phone | null;
}

export interface Phone {
  /** ZITADEL stores it in E.164 format. */
  number: string;
  isVerified: boolean;
}

function userOf({ userId, human }: UserMessage): ZitadelUser {
  const { phone: number, isVerified } = human?.phone ?? {};
  return { userId, isMachine: !human, phone: number ? { number, isVerified: isVerified ?? false } : null };
}

export const getUserByIdResponse = z.object({ user: userMessage.refine(isOfAKind, must).transform(userOf) });

/** ZITADEL always sends `details`. If it were optional, any JSON object would pass as an empty list. One refinement checks all users. */
export const listUsersResponse = z.object({
  details: z.object({}),
  result: z
    .array(userMessage)
    .refine((users) => users.every(isOfAKind), must)
    .transform((users) => users.map(userOf))
    .nullish(),
});
