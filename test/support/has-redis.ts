import { spawnSync } from 'node:child_process';

/** In CI a missing Redis is an error: the tests run, and fail. */
export const hasRedis = process.env['CI'] !== undefined || !spawnSync('redis-server', ['--version']).error;

/** Runs once before all stories. */
export default function reportWhatIsSkipped(): void {
  if (!hasRedis) console.log('Skips the tests that need redis-server: apt-get install redis-server');
}
