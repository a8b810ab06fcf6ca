import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Between a server and Redis. It counts the round trips, keeps what is sent, and can lose commands or answers. */
export async function openRedisProxy(redisUrl: string) {
  const target = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let lost: 'nothing' | 'answers' | 'commands' = 'nothing';
  let trips = 0;
  let sent = '';
  const server = createServer((socket) => {
    const redis = connect(Number(target.port), target.hostname);
    let isAsking = false;
    for (const [one, other] of [[socket, redis] as const, [redis, socket] as const]) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    socket.on('data', (chunk) => {
      if (!isAsking) trips += 1;
      isAsking = true;
      sent += String(chunk);
      if (lost !== 'commands') redis.write(chunk);
    });
    redis.on('data', (chunk) => {
      isAsking = false;
      if (lost !== 'answers') socket.write(chunk);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: Object.assign(new URL(redisUrl), { port: String((server.address() as AddressInfo).port) }).href,
    /** How often commands were sent after an answer: commands that are sent together are one round trip. */
    trips: () => trips,
    /** Everything that was sent so far. */
    sent: () => sent,
    /** From now on, until this is called again. */
    lose(what: typeof lost) {
      lost = what;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
