import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child.js';

const pollMs = 10;

/**
 * Waits until the product answers.
 *
 * @throws when the process has ended
 */
export async function isListening(server: Child): Promise<void> {
  for (;;) {
    const response = await fetch(`${server.url}/health/live`).catch(() => undefined);
    if (response?.ok) return;
    await server.usage();
    await delay(pollMs);
  }
}
