import { createHash, timingSafeEqual } from 'node:crypto';
import type { onRequestHookHandler } from 'fastify';

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Refuses whoever does not show one of the secrets in `x-router-secret`, before the body is read. */
export function routerOnly(secrets: readonly string[]): onRequestHookHandler {
  // Digests have one length, which comparing in constant time needs.
  const known = secrets.map(digest);
  return (request, _reply, done) => {
    const shown = digest(String(request.headers['x-router-secret'] ?? ''));
    // Compared with each, so that the time does not tell which one it was.
    const matches = known.filter((secret) => timingSafeEqual(secret, shown));
    if (matches.length > 0) done();
    else done(Object.assign(new Error('It does not show the secret of the router'), { statusCode: 403 }));
  };
}
