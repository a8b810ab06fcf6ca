import { readFileSync } from 'node:fs';

/** A request to a real ZITADEL, and its answer. */
export interface Recorded {
  name: string;
  /** The RPC, or `-` if the request is for none. */
  operation: string;
  /** Who sent it; null without a token, or with an odd one. */
  caller: string | null;
  request: { method: string; path: string; headers: Record<string, string>; body: string | null };
  response: { status: number; contentType: string | null; headers: Record<string, string>; body: string };
  note?: string;
}

/**
 * What a real ZITADEL (main of 2026-07-10, with PostgreSQL 15) answered. Ids, tokens, codes, sequences and times are placeholders, such as
 * `<user:fresh-target>`. The requests of a group, such as `journey:…`, were sent in this order, but some of them were not recorded.
 */
export const corpus = JSON.parse(readFileSync('test/corpus/zitadel.json', 'utf8')) as Recorded[];

export function recorded(name: string): Recorded {
  const entry = corpus.find((one) => one.name === name);
  if (!entry) throw new Error(`The corpus has no ${name}.`);
  return entry;
}
