import type { OperationName } from './stage.js';

/** The mutations among the example operations, with their variables other than the user. */
export const mutations = {
  'set-contact-phone': { number: '+41795550101' },
  'resend-contact-phone-code': {},
  'verify-contact-phone': { verificationCode: 'S3CR3T' },
  'remove-contact-phone': {},
} as const satisfies Partial<Record<OperationName, object>>;

export type Mutation = keyof typeof mutations;

export const mutationNames = Object.keys(mutations) as Mutation[];
