import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Histogram, register as ofProcess, Registry } from 'prom-client';
import type { RequestRecord } from './request-record.js';

/** From what is fast to the longest time that a call is given by default. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How many requests wait to be counted. */
const maxAdded = 500;

/** What is counted of a request. The record itself would hold on to its errors, and to all that they are made of. */
type Counted = Pick<RequestRecord, 'code' | 'totalMs' | 'calls' | 'batchSizes' | 'sms'> & { field: string };

/**
 * The metrics of the requests, beside those of the process. Every label is of a closed list: a root field of the schema, an RPC of
 * ZITADEL, a code, an HTTP status.
 */
export class Metrics {
  private readonly ofRequests = new Registry();
  private readonly registers = [this.ofRequests];
  private readonly added: Counted[] = [];

  private readonly requests = new Counter({
    name: 'contact_phone_requests_total',
    help: 'Requests by root field and by the code of their gravest error, or OK.',
    labelNames: ['operation', 'code'],
    registers: this.registers,
  });
  private readonly requestSeconds = new Histogram({
    name: 'contact_phone_request_duration_seconds',
    help: 'How long requests took, by root field.',
    labelNames: ['operation'],
    buckets: seconds,
    registers: this.registers,
  });
  private readonly calls = new Counter({
    name: 'contact_phone_upstream_calls_total',
    help: 'Calls to ZITADEL by RPC, HTTP status (none without an answer) and code.',
    labelNames: ['operation', 'status', 'code'],
    registers: this.registers,
  });
  private readonly callSeconds = new Histogram({
    name: 'contact_phone_upstream_call_duration_seconds',
    help: 'How long calls to ZITADEL took, by RPC.',
    labelNames: ['operation'],
    buckets: seconds,
    registers: this.registers,
  });
  private readonly batches = new Histogram({
    name: 'contact_phone_batch_size',
    help: 'How many users one read asks for.',
    buckets: [1, 2, 5, 10, 25, 50, 100],
    registers: this.registers,
  });
  private readonly smsSent = new Counter({
    name: 'contact_phone_sms_sent_total',
    help: 'SMS that ZITADEL was made to send; outcome UNKNOWN if it may have been.',
    labelNames: ['outcome'],
    registers: this.registers,
  });
  private readonly smsLimited = new Counter({
    name: 'contact_phone_sms_limited_total',
    help: 'SMS that were held back, by the variable of the limit.',
    labelNames: ['limit'],
    registers: this.registers,
  });

  /** @param underWay how many requests are being answered */
  constructor(underWay: () => number) {
    new Gauge({
      name: 'contact_phone_requests_in_flight',
      help: 'Requests that are being answered, whether or not anybody still waits for that.',
      registers: this.registers,
      collect() {
        this.set(underWay());
      },
    });
    // A process has these once, however many servers it has.
    if (!ofProcess.getSingleMetric('process_cpu_seconds_total')) collectDefaultMetrics();
  }

  /** Counts a request whose answer is ready, later: many at once cost a fraction of as many one by one. */
  add({ operation, code, totalMs, calls, batchSizes, sms }: RequestRecord): void {
    this.added.push({ field: operation?.field ?? 'none', code, totalMs, calls, batchSizes, sms });
    if (this.added.length >= maxAdded) this.countAdded();
  }

  private countAdded(): void {
    for (const request of this.added.splice(0)) this.count(request);
  }

  private count({ field, code, totalMs, calls, batchSizes, sms }: Counted): void {
    this.requests.inc({ operation: field, code });
    this.requestSeconds.observe({ operation: field }, totalMs / 1000);
    for (const call of calls) {
      this.calls.inc({ operation: call.operation, status: statusLabel(call.httpStatus), code: call.code });
      this.callSeconds.observe({ operation: call.operation }, call.ms / 1000);
    }
    for (const size of batchSizes) this.batches.observe(size);
    for (const outcome of sms) {
      if (typeof outcome === 'object') this.smsLimited.inc(outcome);
      else if (outcome !== 'COUNTS_NOT') this.smsSent.inc({ outcome: outcome === 'COUNTS' ? 'SENT' : 'UNKNOWN' });
    }
  }

  /** Serves them at `/metrics`, in the text format of Prometheus. */
  serve(app: FastifyInstance): void {
    app.get('/metrics', async (_request, reply) => {
      this.countAdded();
      const all = Registry.merge([ofProcess, this.ofRequests]);
      return reply.type(all.contentType).send(await all.metrics());
    });
  }
}

/** What is not ZITADEL may answer with any number. */
function statusLabel(httpStatus: number | undefined): string {
  if (httpStatus === undefined) return 'none';
  return httpStatus in STATUS_CODES ? String(httpStatus) : 'other';
}
