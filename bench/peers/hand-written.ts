import DataLoader from 'dataloader';
import { GraphQLError } from 'graphql';
import { Pool } from 'undici';

// Shared by the two hand-written GraphQL servers: the same operations as plain resolvers, without limits, logs or checks.

interface User {
  userId: string;
  human: { phone: { phone: string; isVerified: boolean } };
}

export interface Context {
  authorization: string;
  users: DataLoader<string, User | undefined>;
}

export const typeDefs = /* GraphQL */ `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
  enum PhoneCodeMode {
    SEND_CODE
    RETURN_CODE
  }
  type ContactPhoneChangeDetails {
    sequence: String
    changeDate: String!
    resourceOwner: ID
  }
  type ResendResult {
    details: ContactPhoneChangeDetails!
    verificationCode: String
  }
  type ContactPhone {
    number: String!
    isVerified: Boolean!
  }
  type User @key(fields: "id") {
    id: ID!
    contactPhone: ContactPhone
  }
  type Query {
    contactPhone(userId: ID!): ContactPhone
  }
  type Mutation {
    resendContactPhoneCode(userId: ID!, mode: PhoneCodeMode! = SEND_CODE): ResendResult
  }
`;

const pool = new Pool(process.env['ZITADEL_URL'] ?? '', { connections: 128 });

async function call<Answer>(path: string, message: object | undefined, authorization: string): Promise<Answer> {
  const { statusCode, body } = await pool.request({
    method: message ? 'POST' : 'GET',
    path,
    headers: { authorization, ...(message && { 'content-type': 'application/json' }) },
    ...(message && { body: JSON.stringify(message) }),
  });
  const answer = await body.json();
  if (statusCode === 200) return answer as Answer;
  throw new GraphQLError('Forbidden', { extensions: { code: 'FORBIDDEN', zitadel: answer } });
}

export const createContext = (authorization = ''): Context => ({
  authorization,
  users: new DataLoader(async (userIds) => {
    const query = { query: { limit: userIds.length }, queries: [{ inUserIdsQuery: { userIds } }] };
    const { result } = await call<{ result: User[] }>('/v2/users', query, authorization);
    const users = new Map(result.map((user) => [user.userId, user]));
    return userIds.map((id) => users.get(id));
  }),
});

const phoneOf = async (userId: string, { users }: Context) => {
  const { phone, isVerified } = (await users.load(userId))?.human.phone ?? {};
  return phone === undefined ? null : { number: phone, isVerified };
};

export const resolvers = {
  Query: {
    contactPhone: (_: unknown, { userId }: { userId: string }, context: Context) => phoneOf(userId, context),
  },
  User: {
    __resolveReference: ({ id }: { id: string }) => ({ id }),
    contactPhone: ({ id }: { id: string }, _: unknown, context: Context) => phoneOf(id, context),
  },
  Mutation: {
    async resendContactPhoneCode(_: unknown, { userId, mode }: Record<string, string>, { authorization }: Context) {
      const path = `/v2/users/${encodeURIComponent(userId ?? '')}`;
      if (mode === 'RETURN_CODE') return call(`${path}/phone/resend`, { returnCode: {} }, authorization);
      // Like the product, before an SMS.
      const { user } = await call<{ user: User }>(path, undefined, authorization);
      return user.human.phone.isVerified ? null : call(`${path}/phone/resend`, { sendCode: {} }, authorization);
    },
  },
};
