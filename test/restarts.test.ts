import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { startServer, type RunningServer } from '../src/server.js';
import { holdTimers } from './support/clock.js';
import { answersOn, rawGet, rawPost } from './support/raw-http.js';
import { openSocket } from './support/sockets.js';
import { manager, unverified } from './support/stage.js';

const delayMs = 299_999;
const workers = 20;
const query = `mutation { resendContactPhoneCode(userId: "${unverified}", mode: RETURN_CODE) { verificationCode } }`;
const request = rawPost(JSON.stringify({ query }), manager);

interface Connection {
  instance: RunningServer;
  socket: Socket;
  answers: ReturnType<typeof answersOn>;
}

/**
 * A load balancer like that of routers and Kubernetes: opens connections only to ready instances, and uses each one until the instance
 * announces its end. It never retries.
 */
function openBalancer(instances: RunningServer[]) {
  const kept: Connection[] = [];
  const open = new Set<Connection>();
  const answers: string[] = [];
  const lost: unknown[] = [];
  const events = new EventEmitter();
  let isOn = true;
  let turn = 0;

  const connect = async (): Promise<Connection> => {
    for (;;) {
      const instance = instances[(turn += 1) % instances.length] as RunningServer;
      const socket = await openSocket(instance.url).catch(() => undefined);
      if (!socket) continue;
      const connection = { instance, socket, answers: answersOn(socket) };
      socket.write(rawGet('/health/ready'));
      const health = await connection.answers.next().catch(() => undefined);
      if (health?.value?.status === 200 && !health.value.head.includes('connection: close')) return connection;
      socket.destroy();
    }
  };
  const work = async () => {
    while (isOn) {
      const connection = kept.shift() ?? (await connect());
      open.add(connection);
      connection.socket.write(request);
      const { value } = await connection.answers.next().catch((error: unknown) => ({ value: { error } }));
      if (value && 'body' in value) answers.push(value.body);
      else lost.push(value);
      if (value && 'head' in value && !value.head.includes('connection: close')) {
        kept.push(connection);
      } else {
        open.delete(connection);
        connection.socket.destroy();
      }
      events.emit('answer');
    }
  };
  const working = Array.from({ length: workers }, work);
  return {
    answers,
    lost,
    connectionsTo: (wanted: RunningServer) => [...open].filter(({ instance }) => instance === wanted).length,
    async answered(times: number) {
      const wanted = answers.length + times;
      while (answers.length < wanted) await once(events, 'answer');
    },
    async stop() {
      isOn = false;
      await Promise.all(working);
      for (const { socket } of open) socket.destroy();
    },
  };
}

test(
  'ten restarts of two instances behind a load balancer lose and repeat no requests',
  { timeout: 120_000 },
  async () => {
    const zitadel = await startEmbeddedZitadel();
    const config = readConfig({
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'silent',
      ZITADEL_URL: zitadel.url,
      ZITADEL_API: process.env['TEST_ZITADEL_API'] ?? 'rest',
      SHUTDOWN_DELAY_MS: String(delayMs),
    });
    const start = () => startServer(config, { logTo: { write: () => {} } });
    const instances = [await start(), await start()];
    const delays = holdTimers(delayMs);
    const balancer = openBalancer(instances);
    await balancer.answered(2 * workers);

    for (let restart = 0; restart < 10; restart += 1) {
      const old = instances[restart % 2] as RunningServer;
      expect(balancer.connectionsTo(old)).toBeGreaterThan(0);
      const closed = old[Symbol.asyncDispose]();
      // Each of its connections gets another request, and with the answer the announcement.
      for (let rounds = 0; rounds < 50 && balancer.connectionsTo(old) > 0; rounds += 1)
        await balancer.answered(workers);
      expect(balancer.connectionsTo(old)).toBe(0);
      delays.fire();
      await balancer.answered(workers);
      await closed;
      instances[restart % 2] = await start();
      await balancer.answered(2 * workers);
    }
    await balancer.stop();

    expect(balancer.lost).toEqual([]);
    const codes = balancer.answers.map((body) => /"verificationCode":"(\w+)"/.exec(body)?.[1]);
    expect(codes).not.toContain(undefined);
    expect(zitadel.calls).toHaveLength(codes.length);

    const closed = instances.map((instance) => instance[Symbol.asyncDispose]());
    delays.fire();
    await Promise.all(closed);
    await zitadel[Symbol.asyncDispose]();
  },
);
