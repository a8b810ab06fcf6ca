import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { isAccepting, startProgram, type Child } from './child.js';

export interface Redis extends Child {
  /** A number from Redis's own `INFO`. */
  info(section: string, field: string): number;
}

/** An empty Redis that stores nothing on disk. */
export async function startRedis(scratch: string): Promise<Redis> {
  const args = ['--port', '$PORT', '--bind', '127.0.0.1', '--save', '', '--dir', scratch];
  const child = await startProgram('redis-server', args, {}, join(scratch, 'redis.log'));
  await isAccepting(child);
  const { host, port } = new URL(child.url);
  return {
    ...child,
    url: `redis://${host}`,
    info(section, field) {
      const text = execFileSync('redis-cli', ['-p', port, 'INFO', section], { encoding: 'utf8' });
      return Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(text)?.[1]);
    },
  };
}
