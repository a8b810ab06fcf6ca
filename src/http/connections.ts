import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

export interface Connections {
  /** From now on, every answer announces that it closes its connection, so clients send their next request elsewhere. */
  drain: () => void;
  /** The answer to the last request on a connection, finished or not. Once it is finished, so are the earlier ones. */
  lastAnswer: (socket: Socket) => ServerResponse | undefined;
  /** All open connections. */
  open: () => Iterable<Socket>;
}

/** The event loop accepts a connection in one turn and reads from it in the next. The current turn may be past both steps. */
const quietTurns = 3;
/** Clients that keep connecting must not prevent the server from closing. */
const maxTurns = 100;

/**
 * Makes `app.close()` wait for every request that has arrived, even if it is incomplete or not yet read, and for nothing else. Three kinds
 * of connections would otherwise block it forever: idle keep-alive connections, unused ones that a client opened in advance, and those
 * whose request never arrives in full.
 */
export function closeConnectionsInTime(app: FastifyInstance): Connections {
  let isDraining = false;
  let isEnding = false;
  let isSettling = false;
  let arrivals = 0;
  const lastAnswers = new Map<Socket, ServerResponse | undefined>();
  const tooLate = new WeakSet<IncomingMessage>();

  const settle = () => {
    // This closes neither connections with part of a request nor unused ones.
    app.server.closeIdleConnections();
    const open = [...lastAnswers.keys()].filter(({ destroyed }) => !destroyed);
    if (open.every(({ bytesRead }) => bytesRead === 0)) for (const socket of open) socket.destroy();
  };
  const settleSoon = () => {
    if (!isEnding || isSettling) return;
    isSettling = true;
    setImmediate(() => {
      isSettling = false;
      settle();
    });
  };
  const closeAfter = (answer: ServerResponse) => {
    if (!answer.headersSent) answer.setHeader('connection', 'close');
    answer.once('close', settleSoon);
  };
  const drain = () => {
    if (isDraining) return;
    isDraining = true;
    for (const answer of lastAnswers.values()) if (isOpen(answer)) closeAfter(answer);
  };

  app.server.on('connection', (socket) => {
    arrivals += 1;
    lastAnswers.set(socket, undefined);
    socket.once('close', () => {
      lastAnswers.delete(socket);
      settleSoon();
    });
  });
  // Must run before Fastify, which may answer immediately.
  app.server.prependListener('request', (request, answer) => {
    arrivals += 1;
    if (isDraining) {
      const before = lastAnswers.get(request.socket);
      if (before?.headersSent && before.getHeader('connection') === 'close') {
        tooLate.add(request);
        return;
      }
      // Pipelined: the previous request is not the last one on its connection after all.
      if (before && !before.headersSent) before.removeHeader('connection');
      closeAfter(answer);
    }
    lastAnswers.set(request.socket, answer);
  });
  app.addHook('onRequest', (request, reply, done) => {
    // An earlier answer announced the end of the connection, so the client may resend this request: RFC 9112, section 9.6.
    if (isDraining && tooLate.has(request.raw)) reply.hijack();
    else done();
  });

  app.addHook('preClose', async () => {
    drain();
    for (let turn = 0, quiet = 0; quiet < quietTurns && turn < maxTurns; turn += 1) {
      const before = arrivals;
      await nextTurn();
      quiet = arrivals === before ? quiet + 1 : 0;
    }
    isEnding = true;
    settle();
    // Node checks this itself, but stops when the server closes.
    const timeout = setTimeout(() => {
      const late = Object.assign(new Error('The request took too long to arrive.'), {
        code: 'ERR_HTTP_REQUEST_TIMEOUT',
      });
      for (const [socket, answer] of lastAnswers) {
        if (!isOpen(answer) || !answer.req.complete) app.server.emit('clientError', late, socket);
      }
    }, app.server.requestTimeout);
    app.server.once('close', () => clearTimeout(timeout));
  });
  return { drain, lastAnswer: (socket) => lastAnswers.get(socket), open: () => lastAnswers.keys() };
}

/** Whether the answer is unfinished. */
const isOpen = (answer: ServerResponse | undefined): answer is ServerResponse => answer !== undefined && !answer.closed;

/** How long a client may go without reading a byte of its answer. */
const stallTimeoutMs = 30_000;
/** A connection may be closed up to one interval late. */
const checkIntervalMs = 5_000;

interface Stall {
  taken: number;
  /** How many checks in a row found the same value. */
  checks: number;
}

/**
 * Closes the connection of a client that does not read its answer, which would otherwise stay in memory forever. Node's own idle timeout
 * does not help: every byte that the client sends restarts it.
 *
 * @param connections the open ones
 */
export function closeStalledConnections(app: FastifyInstance, connections: () => Iterable<Socket>): void {
  const stalls = new WeakMap<Socket, Stall>();
  const check = (socket: Socket) => {
    const taken = bytesTaken(socket);
    const last = stalls.get(socket);
    const checks = socket.writableLength > 0 && taken === last?.taken ? last.checks + 1 : 0;
    // A reset also frees what the operating system holds for the client.
    if (checks * checkIntervalMs >= stallTimeoutMs) socket.resetAndDestroy();
    else stalls.set(socket, { taken, checks });
  };
  const timer = setInterval(() => {
    for (const socket of connections()) check(socket);
  }, checkIntervalMs).unref();
  app.server.once('close', () => clearInterval(timer));
}

/**
 * Changes whenever the operating system accepts bytes. If it accepts a long write in parts, only the handle shows how much is left, and Node's
 * types omit the handle.
 */
function bytesTaken(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { writeQueueSize: number } };
  return socket.bytesWritten - socket.writableLength - (handle?.writeQueueSize ?? 0);
}
