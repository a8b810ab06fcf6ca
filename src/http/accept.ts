import type { onRequestHookHandler } from 'fastify';
import Negotiator from 'negotiator';
import { refuse } from './refusal.js';

const json = 'application/json; charset=utf-8';
const mediaTypes = [json, 'application/graphql-response+json; charset=utf-8'];

/** What was chosen for an `Accept` that was seen before: clients have few of them, and to read one takes a while. */
const chosen = new Map<string, string | undefined>();
const maxChosen = 100;

/** Chooses the media type of the answer, and refuses whoever accepts none that there is before anything is done for him. */
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
