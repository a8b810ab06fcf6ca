import type { FastifyInstance } from 'fastify';

export interface Health {
  /** From now on, reports not ready, so that load balancers send requests elsewhere. */
  drain: () => void;
}

/**
 * Serves `/health/live` and `/health/ready`. ZITADEL or Redis being down is reported, but does not make this server unready: clients need
 * a GraphQL error for their mutations, and if one instance of this server cannot reach ZITADEL, usually none can.
 *
 * @param stateOfParts the states of ZITADEL and Redis
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
