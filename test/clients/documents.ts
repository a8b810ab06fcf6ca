import { gql, type TypedDocumentNode } from '@apollo/client';

export interface ContactPhone {
  number: string;
  isVerified: boolean;
  resendAvailableAt: string | null;
}

type Query<Data> = TypedDocumentNode<Data, { userId: string }>;
/** What a mutation returns goes into the cache, and the query shows it. So nothing else reads it. */
type Mutation<Variables> = TypedDocumentNode<unknown, Variables & { userId: string }>;

// All documents select the same fields, with the `id` of the user: only then does the cache keep the screen right.
const userWithPhone = gql`
  fragment UserWithPhone on User {
    id
    contactPhone {
      number
      isVerified
      resendAvailableAt
    }
  }
`;

export const contactPhone: Query<{ contactPhoneUser: { id: string; contactPhone: ContactPhone | null } | null }> = gql`
  query ContactPhone($userId: ID!) {
    contactPhoneUser(userId: $userId) {
      ...UserWithPhone
    }
  }
  ${userWithPhone}
`;

export const setContactPhone: Mutation<{ number: string }> = gql`
  mutation SetContactPhone($userId: ID!, $number: PhoneNumber!) {
    setContactPhone(userId: $userId, number: $number) {
      user {
        ...UserWithPhone
      }
    }
  }
  ${userWithPhone}
`;

export const resendContactPhoneCode: Mutation<object> = gql`
  mutation ResendContactPhoneCode($userId: ID!) {
    resendContactPhoneCode(userId: $userId) {
      user {
        ...UserWithPhone
      }
    }
  }
  ${userWithPhone}
`;

export const verifyContactPhone: Mutation<{ verificationCode: string }> = gql`
  mutation VerifyContactPhone($userId: ID!, $verificationCode: VerificationCode!) {
    verifyContactPhone(userId: $userId, verificationCode: $verificationCode) {
      user {
        ...UserWithPhone
      }
    }
  }
  ${userWithPhone}
`;

export const removeContactPhone: Mutation<object> = gql`
  mutation RemoveContactPhone($userId: ID!) {
    removeContactPhone(userId: $userId) {
      user {
        ...UserWithPhone
      }
    }
  }
  ${userWithPhone}
`;
