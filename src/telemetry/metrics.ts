import { version as node } from 'node:process';
import type { FastifyInstance } from 'fastify';
import { getCountries } from 'libphonenumber-js/max';
import { collectDefaultMetrics, Counter, Gauge, Histogram, register as processRegistry, Registry } from 'prom-client';
import { errors, type ErrorCode } from '../errors.js';
import { version } from '../version.js';
import { allCallLabels, callLabels, rpcs } from './call-labels.js';
import type { RequestRecord } from './request-record.js';

/** From fast calls to the default of ZITADEL_TIMEOUT_MS. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Root fields that every schema has, and the labels for several root fields and for none. */
const otherFields = ['__typename', '__schema', '__type', 'several', 'none'];

/** The codes of requests that were refused before any of them ran, so their root field is unknown. */
const refusals: readonly ErrorCode[] = [
  'BAD_REQUEST',
  'ROUTER_SECRET_MISSING',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
];
const isOfFields = (code: string) => !refusals.some((refusal) => refusal === code);
const codesOfFields = ['OK', ...Object.keys(errors).filter(isOfFields)];

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
    help: 'Calls to ZITADEL by RPC, HTTP status (none without an answer; other if it is unusual) and code.',
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

  /**
   * Serves every series from the start, at 0: otherwise a rate would miss the first event.
   *
   * @param fields the root fields of the schema
   * @param smsCountries those that SMS may be sent to; empty for all
   */
  constructor(fields: readonly string[], smsCountries: readonly string[]) {
    for (const field of [...fields, ...otherFields]) {
      const codes = field === 'none' ? [...codesOfFields, ...refusals] : codesOfFields;
      for (const code of codes) this.requests.inc({ field, code }, 0);
      this.requestSeconds.zero({ field });
    }
    for (const labels of allCallLabels) this.calls.inc({ ...labels }, 0);
    for (const rpc of rpcs) this.callSeconds.zero({ rpc });
    for (const country of smsCountries.length > 0 ? smsCountries : getCountries()) {
      for (const outcome of ['DONE', 'UNKNOWN']) this.smsSent.inc({ outcome, country }, 0);
    }
    for (const reason of Object.keys(errors.RATE_LIMITED.reasons)) this.limited.inc({ reason }, 0);
    new Gauge({
      name: 'contact_phone_build_info',
      help: 'Always 1, with the version of this server and of Node.js.',
      labelNames: ['version', 'node'],
      registers: this.registers,
    }).set({ version, node }, 1);
  }

  /** Queues a finished request: counting many at once costs a fraction of counting them one by one. */
  readonly add = ({ operation, code, failures, totalMs, calls }: RequestRecord): void => {
    const limits = failures.flatMap(({ verdict }) =>
      verdict.code === 'RATE_LIMITED' && verdict.reason ? [verdict.reason] : [],
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
    for (const call of calls) {
      const { rpc, users, smsCountry, outcome, ms } = call;
      this.calls.inc({ ...callLabels(call) });
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
