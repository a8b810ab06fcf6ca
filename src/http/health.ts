import type { FastifyInstance } from 'fastify';

export interface Health {
  /** From now on it is not ready: whoever balances the load sends requests elsewhere. */
  drain: () => void;
}

/**
 * Serves `/health/live` and `/health/ready`. Another part that is down is told, but does not make this server unready: its mutations
 * have to be refused in GraphQL's way, and where one of many servers cannot reach ZITADEL, none can.
 *
 * @param stateOfParts what to tell of the others
 */
export function serveHealth(app: FastifyInstance, stateOfParts: () => object): Health {
  let draining = false;
  app.get('/health/live', () => ({ status: 'ok' }));
  app.get('/health/ready', (_request, reply) => {
    reply.code(draining ? 503 : 200).send({ status: draining ? 'draining' : 'ok', ...stateOfParts() });
  });
  return {
    drain() {
      draining = true;
    },
  };
}
