import * as z from 'zod';

// The messages of ZITADEL's user service v2 that we send and read, in proto3 JSON.
// Zero values are omitted, and null means omitted: https://protobuf.dev/programming-guides/json/

export type PhoneCodeMode = 'SEND_CODE' | 'RETURN_CODE';

export type SetPhoneMode = PhoneCodeMode | 'MARK_VERIFIED';

/** ZITADEL takes an empty or misspelt mode to mean "send an SMS", so a mode is always sent, and spelled out here. */
export const verification: Record<SetPhoneMode, object> = {
  SEND_CODE: { sendCode: {} },
  RETURN_CODE: { returnCode: {} },
  MARK_VERIFIED: { isVerified: true },
};

/** Reads an omitted value as this zero value. */
const omitted = (zero: string) =>
  z
    .null()
    .optional()
    .transform(() => zero);

export const sequence = z.string().regex(/^\d+$/).or(omitted('0'));

const objectDetails = z.object({
  sequence,
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

export type UserMessage = z.infer<typeof userMessage>;

export const userMessage = z.object({
  userId: z.string(),
  state: z.string().nullish(),
  human: z.object({ phone: humanPhone.nullish() }).nullish(),
  machine: z.object({}).nullish(),
});

/** The parts of a user that concern the contact phone. `phone` is null if they have none; machines never have one. */
export interface ZitadelUser {
  userId: string;
  isMachine: boolean;
  /** Whether they have not finished signing up. */
  isInitial: boolean;
  phone: Phone | null;
  /** The sequence number of the user's latest change that this read shows. Undefined in lists. */
  sequence?: string;
}

export interface Phone {
  /** ZITADEL stores it in E.164 format. */
  number: string;
  isVerified: boolean;
}
