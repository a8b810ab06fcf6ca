import type { onRequestHookHandler } from 'fastify';
import Negotiator from 'negotiator';
import { refuse } from './refusal.js';

const mediaTypes = ['application/json; charset=utf-8', 'application/graphql-response+json; charset=utf-8'];

/** Refuses whoever accepts no answer that there will be. Apollo Server does so too, but only when the mutation is done. */
export const acceptsAnswer: onRequestHookHandler = ({ headers: { accept } }, reply, done) => {
  if (!accept || new Negotiator({ headers: { accept } }).mediaType(mediaTypes)) done();
  else refuse(reply, 406);
};
