import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** The latest results, stored in results.json. Each part can be measured again without the others. */
export interface Results {
  /** By question. */
  questions: Partial<Record<string, Measured<{ peers: Peers<Sample[]> }>>>;
  start?: Measured<{ peers: Peers<Start> }>;
  soak?: Measured<{ moments: Moment[]; completed: number }>;
}

/** By the name of the peer, in the order of the tables. */
export type Peers<Value> = Partial<Record<string, Value>>;

type Measured<Values> = Values & {
  /** When, where and with which versions. */
  measured: string;
};

/** The results of one round for one peer. */
export interface Sample {
  requestsPerSecond: number;
  /** In milliseconds. */
  p50: number;
  p99: number;
  /** CPU time of the server's process, in microseconds per request. */
  cpu: number;
  /** Resident memory at the end of the round, in megabytes. */
  memory: number;
  /** Calls to the upstream per request. */
  calls: number;
  /** CPU time of the other processes that work for the server, in microseconds per request. */
  others?: Record<string, number>;
}

export interface Start {
  /** From the start of the process to its first right answer, each time, in milliseconds. */
  ms: number[];
  /** Resident memory after the last start and some idle time, in megabytes. */
  memoryAtRest: number;
}

export interface Moment {
  /** Since the start of the load. */
  seconds: number;
  /** Resident, in megabytes. */
  memory: number;
}

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, 'utf8')) as Results;
}

const digits = 4;

/** One sample a line. */
export function writeResults(file: string, results: Results): void {
  const rounded = (_key: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(digits)) : value;
  const indented = JSON.stringify(results, rounded, 1);
  const sample = /\{\s+"(?:requestsPerSecond|seconds)"[^{}]*(?:\{[^{}]*\}\s*)?\}/g;
  writeFileSync(file, `${indented.replace(sample, (lines) => lines.replace(/\s+/g, ' '))}\n`);
}

/** When, where and with which versions it is measured. */
export function circumstances(): string {
  const [cpu] = cpus();
  const versions = ['undici', 'mercurius', 'graphql-jit', 'graphql-yoga', '@graphql-hive/gateway', 'autocannon'].map(
    (name) => `${name} ${versionOf(name)}`,
  );
  return (
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'}), ` +
    `${(totalmem() / 2 ** 30).toFixed(1)} GiB, ${process.platform}, Node ${process.versions.node}; ${versions.join(', ')}.`
  );
}

function versionOf(name: string): string {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
