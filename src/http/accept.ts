import type { onRequestHookHandler } from 'fastify';
import Negotiator from 'negotiator';
import { refuse } from './refusals.js';

const json = 'application/json; charset=utf-8';
const mediaTypes = [json, 'application/graphql-response+json; charset=utf-8'];

/** Results by `Accept` header: clients use few different ones, and parsing is slow. */
const chosen = new Map<string, string | undefined>();
const maxChosen = 100;

/** Negotiates the media type of the response. Answers 406 before doing any work. */
export const acceptsAnswer: onRequestHookHandler = ({ headers: { accept } }, reply, done) => {
  const mediaType = accept ? mediaTypeFor(accept) : json;
  if (mediaType === undefined) {
    refuse(reply, 406);
    return;
  }
  reply.header('content-type', mediaType);
  done();
};

function mediaTypeFor(accept: string): string | undefined {
  if (chosen.has(accept)) return chosen.get(accept);
  const mediaType = new Negotiator({ headers: { accept } }).mediaType(mediaTypes);
  if (chosen.size < maxChosen) chosen.set(accept, mediaType);
  return mediaType;
}
