import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where each server of the tests leaves its log lines, and each embedded ZITADEL its secrets. */
    logFolder: string;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-logs-'));
  provide('logFolder', folder);
  return () => rm(folder, { recursive: true });
}
