import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Histogram, register as ofProcess, Registry } from 'prom-client';
import type { RequestRecord } from './request-record.js';

/** From fast calls to the default of ZITADEL_TIMEOUT_MS. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How many requests may be waiting to be counted. */
const maxAdded = 500;

/** The parts of a record that are counted. Keeping the record would also keep its errors and everything they reference in memory. */
type Counted = Pick<RequestRecord, 'code' | 'totalMs' | 'calls' | 'batchSizes' | 'sms'> & { field: string };

/**
 * Metrics of requests and of the process. Every label comes from a closed list: root fields of the schema, RPCs of ZITADEL, codes, HTTP
 * statuses.
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
    help: 'Calls to ZITADEL by RPC, HTTP status (none if there was no answer) and code.',
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
    help: 'Users per read.',
    buckets: [1, 2, 5, 10, 25, 50, 100],
    registers: this.registers,
  });
  private readonly smsSent = new Counter({
    name: 'contact_phone_sms_sent_total',
    help: 'SMS that ZITADEL sent, or may have sent (outcome UNKNOWN).',
    labelNames: ['outcome'],
    registers: this.registers,
  });
  private readonly smsLimited = new Counter({
    name: 'contact_phone_sms_limited_total',
    help: 'SMS refused by a limit, by the variable of the limit.',
    labelNames: ['limit'],
    registers: this.registers,
  });

  /** Queues a finished request for counting: counting many at once costs a fraction of counting them one by one. */
  readonly add = ({ operation, code, totalMs, calls, batchSizes, sms }: RequestRecord): void => {
    this.added.push({ field: operation?.field ?? 'none', code, totalMs, calls, batchSizes, sms });
    if (this.added.length >= maxAdded) this.countAdded();
  };

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

  /**
   * Serves `/metrics` in the text format of Prometheus.
   *
   * @param inFlight how many requests are being answered
   */
  serve(app: FastifyInstance, inFlight: () => number): void {
    new Gauge({
      name: 'contact_phone_requests_in_flight',
      help: 'Requests in progress, including those whose client has hung up.',
      registers: this.registers,
      collect() {
        this.set(inFlight());
      },
    });
    // Register these once per process, however many servers it runs.
    if (!ofProcess.getSingleMetric('process_cpu_seconds_total')) collectDefaultMetrics();
    app.get('/metrics', async (_request, reply) => {
      this.countAdded();
      const all = Registry.merge([ofProcess, this.ofRequests]);
      return reply.type(all.contentType).send(await all.metrics());
    });
  }
}

/** Something other than ZITADEL may answer with any number. */
function statusLabel(httpStatus: number | undefined): string {
  if (httpStatus === undefined) return 'none';
  return httpStatus in STATUS_CODES ? String(httpStatus) : 'other';
}
