import { createHash, timingSafeEqual } from 'node:crypto';
import type { onRequestHookHandler } from 'fastify';
import { refuse } from './refusal.js';

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Refuses a request without one of the secrets in `x-router-secret`, before its body is read. */
export function routerOnly(secrets: readonly string[]): onRequestHookHandler {
  // Constant-time comparison needs equal lengths, which digests have.
  const known = secrets.map(digest);
  return (request, reply, done) => {
    const shown = digest(String(request.headers['x-router-secret'] ?? ''));
    // Compare with every secret, so that timing does not reveal which one matched.
    const matches = known.filter((secret) => timingSafeEqual(secret, shown));
    if (matches.length > 0) done();
    else refuse(reply, 403);
  };
}
