import { get } from 'node:http';

// The health check of the image: exits with 0 if the server in this container answers, otherwise with 1. It does not use src/config/: loading
// that would take longer than the check.

const timeoutMs = 10_000;
/** If the server listens on all addresses, one of them is enough. */
const loopback: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

const { HOST, PORT } = process.env;
const host = HOST || '0.0.0.0';
const options = {
  host: loopback[host] ?? host,
  port: PORT || 4001,
  path: '/health/live',
  signal: AbortSignal.timeout(timeoutMs),
};
get(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1));
