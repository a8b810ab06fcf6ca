import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Histogram, register as processRegistry, Registry } from 'prom-client';
import type { RequestRecord } from './request-record.js';

/** From fast calls to the default of ZITADEL_TIMEOUT_MS. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How many requests may be waiting to be counted. */
const maxQueued = 500;

/** The parts of a record that are counted. Keeping the record would also keep its failures and everything they reference in memory. */
type Counted = Pick<RequestRecord, 'code' | 'totalMs' | 'calls'> & { field: string; limits: string[] };

/**
 * Metrics of requests and of the process. Every label comes from a closed list: root fields of the schema, RPCs of ZITADEL, codes, HTTP
 * statuses, countries.
 */
export class Metrics {
  private readonly requestRegistry = new Registry();
  private readonly registers = [this.requestRegistry];
  private readonly queued: Counted[] = [];

  private readonly requests = new Counter({
    name: 'contact_phone_requests_total',
    help: 'Requests by root field and by the code of their most severe failure, or OK.',
    labelNames: ['field', 'code'],
    registers: this.registers,
  });
  private readonly requestSeconds = new Histogram({
    name: 'contact_phone_request_duration_seconds',
    help: 'How long requests took, by root field.',
    labelNames: ['field'],
    buckets: seconds,
    registers: this.registers,
  });
  private readonly calls = new Counter({
    name: 'contact_phone_upstream_calls_total',
    help: 'Calls to ZITADEL by RPC, HTTP status (none if there was no answer) and code.',
    labelNames: ['rpc', 'status', 'code'],
    registers: this.registers,
  });
  private readonly callSeconds = new Histogram({
    name: 'contact_phone_upstream_call_duration_seconds',
    help: 'How long calls to ZITADEL took, by RPC.',
    labelNames: ['rpc'],
    buckets: seconds,
    registers: this.registers,
  });
  private readonly batches = new Histogram({
    name: 'contact_phone_batch_size',
    help: 'Users per read call.',
    buckets: [1, 2, 5, 10, 25, 50, 100],
    registers: this.registers,
  });
  private readonly smsSent = new Counter({
    name: 'contact_phone_sms_sent_total',
    help: 'SMS that ZITADEL sent (outcome DONE) or may have sent (UNKNOWN), by the country of the number; 001 if it has none.',
    labelNames: ['outcome', 'country'],
    registers: this.registers,
  });
  private readonly limited = new Counter({
    name: 'contact_phone_limited_total',
    help: 'Fields refused with RATE_LIMITED, by reason.',
    labelNames: ['reason'],
    registers: this.registers,
  });

  /** @param smsCountries countries whose counters start at 0, so that a rate includes their first SMS */
  constructor(smsCountries: readonly string[]) {
    for (const country of smsCountries) this.smsSent.inc({ outcome: 'DONE', country }, 0);
  }

  /** Queues a finished request: counting many at once costs a fraction of counting them one by one. */
  readonly add = ({ operation, code, failures, totalMs, calls }: RequestRecord): void => {
    const limits = failures.flatMap(({ verdict }) =>
      verdict.code === 'RATE_LIMITED' ? [verdict.reason ?? 'none'] : [],
    );
    this.queued.push({ field: operation?.field ?? 'none', code, totalMs, calls, limits });
    if (this.queued.length >= maxQueued) this.countQueued();
  };

  private countQueued(): void {
    for (const request of this.queued.splice(0)) this.count(request);
  }

  private count({ field, code, totalMs, calls, limits }: Counted): void {
    this.requests.inc({ field, code });
    this.requestSeconds.observe({ field }, totalMs / 1000);
    for (const { rpc, users, smsCountry, httpStatus, code, outcome, ms } of calls) {
      this.calls.inc({ rpc, status: statusLabel(httpStatus), code });
      this.callSeconds.observe({ rpc }, ms / 1000);
      if (rpc === 'GetUserByID' || rpc === 'ListUsers') this.batches.observe(users);
      if (smsCountry !== undefined && outcome !== 'NOT_DONE') this.smsSent.inc({ outcome, country: smsCountry });
    }
    for (const reason of limits) this.limited.inc({ reason });
  }

  /**
   * Serves `/metrics` in the text format of Prometheus.
   *
   * @param inFlight how many requests are being answered
   * @param dependencyStates those that `/health/ready` reports
   */
  serve(
    app: FastifyInstance,
    inFlight: () => number,
    dependencyStates: () => { zitadel: string; redis?: string },
  ): void {
    new Gauge({
      name: 'contact_phone_requests_in_flight',
      help: 'Requests in progress, including those whose client has hung up.',
      registers: this.registers,
      collect() {
        this.set(inFlight());
      },
    });
    this.watchState('zitadel', 'ZITADEL', () => dependencyStates().zitadel);
    this.watchState('redis', 'Redis, if REDIS_URL is set,', () => dependencyStates().redis);
    // Register these once per process, however many servers it runs.
    if (!processRegistry.getSingleMetric('process_cpu_seconds_total')) collectDefaultMetrics();
    app.get('/metrics', async (_request, reply) => {
      this.countQueued();
      const all = Registry.merge([processRegistry, this.requestRegistry]);
      return reply.type(all.contentType).send(await all.metrics());
    });
  }

  /** Exports no sample while the state is unknown: a 0 would raise an alarm at each start, and a NaN would make every sum NaN. */
  private watchState(part: string, title: string, stateOf: () => string | undefined): void {
    new Gauge({
      name: `contact_phone_${part}_up`,
      help: `Whether ${title} is up (1) or not (0), as in /health/ready.`,
      registers: this.registers,
      collect() {
        const state = stateOf();
        if (state === undefined || state === 'unknown') this.remove();
        else this.set(state === 'up' ? 1 : 0);
      },
    });
  }
}

/** Something other than ZITADEL may answer with any number. */
function statusLabel(httpStatus: number | undefined): string {
  if (httpStatus === undefined) return 'none';
  return httpStatus in STATUS_CODES ? String(httpStatus) : 'other';
}
