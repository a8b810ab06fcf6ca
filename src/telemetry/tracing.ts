import { setTimeout as wait } from 'node:timers/promises';
import { ConfigError } from '../config.js';
import type { Logger } from '../logger.js';
import type { TraceHeaders } from '../zitadel/zitadel-connection.js';
import type { Tracing } from './request-record.js';

const serviceName = 'contact-phone-subgraph';
/** The SDK retries an unreachable collector for ten seconds. Shutdown should not wait that long. */
const flushMs = 2_000;

/**
 * OpenTelemetry over OTLP. Its packages are loaded only here, since most installations do not have them. Its SDK reads OTEL_SERVICE_NAME,
 * OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and others itself. No GraphQL variable, header or body becomes an attribute.
 *
 * @throws {ConfigError} if its packages are not installed
 */
export async function startTracing(endpoint: URL, logger: Logger): Promise<Tracing & { close: () => Promise<void> }> {
  const { api, sdk, exporter, resources } = await load();
  const { propagation, SpanKind, SpanStatusCode, trace } = api;

  api.diag.setLogger(
    { error: warn, warn, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: api.DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  function warn(message: string) {
    logger.warn({ warning: message }, 'OpenTelemetry warning');
  }

  const provider = new sdk.NodeTracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.name': serviceName }))
      .merge(resources.detectResources({ detectors: [resources.envDetector] })),
    spanProcessors: [
      new sdk.BatchSpanProcessor(
        new exporter.OTLPTraceExporter({ url: `${endpoint.href.replace(/\/+$/, '')}/v1/traces` }),
      ),
    ],
  });
  // Registers the W3C propagator. The current span is passed explicitly, which costs less than a context manager.
  provider.register({ contextManager: null });
  const tracer = provider.getTracer(serviceName);

  return {
    begin({ method, route, headers }) {
      const name = route === undefined ? method : `${method} ${route}`;
      const attributes = { 'http.request.method': method, ...(route !== undefined && { 'http.route': route }) };
      const caller = propagation.extract(api.ROOT_CONTEXT, headers);
      const http = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, caller);
      let current = trace.setSpan(caller, http);
      let operationSpan: ReturnType<typeof tracer.startSpan> | undefined;
      const { traceId, spanId } = http.spanContext();

      return {
        traceId,
        spanId,
        beginOperation({ kind, name: given, field }) {
          const type = { 'graphql.operation.type': kind };
          operationSpan = tracer.startSpan(
            `${kind} ${given ?? field}`,
            { attributes: given === undefined ? type : { ...type, 'graphql.operation.name': given } },
            current,
          );
          current = trace.setSpan(current, operationSpan);
        },
        beginCall(rpc) {
          const attributes = { 'rpc.service': 'zitadel.user.v2.UserService', 'rpc.method': rpc };
          const span = tracer.startSpan(rpc, { kind: SpanKind.CLIENT, attributes }, current);
          const traceHeaders: TraceHeaders = {};
          propagation.inject(trace.setSpan(current, span), traceHeaders);
          // The API also propagates baggage, which is none of ZITADEL's business.
          const { traceparent, tracestate } = traceHeaders;
          return {
            headers: { traceparent, tracestate },
            end({ httpStatus, code }) {
              if (httpStatus !== undefined) span.setAttribute('http.response.status_code', httpStatus);
              if (code !== 'OK') {
                span.setAttribute('error.type', code);
                span.setStatus({ code: SpanStatusCode.ERROR });
              }
              span.end();
            },
          };
        },
        end({ httpStatus, code, failure }) {
          http.setAttribute('http.response.status_code', httpStatus);
          if (httpStatus >= 500) http.setStatus({ code: SpanStatusCode.ERROR });
          if (code !== 'OK') (operationSpan ?? http).setAttribute('error.type', code);
          if (failure && failure.level !== 'info') {
            operationSpan?.setStatus({ code: SpanStatusCode.ERROR });
          }
          operationSpan?.end();
          http.end();
        },
      };
    },
    async close() {
      const sent = provider.shutdown().then(
        () => true,
        () => false,
      );
      if (!(await Promise.race([sent, wait(flushMs, false)])))
        logger.warn('The last traces did not reach the collector');
    },
  };
}

function ignore() {}

async function load() {
  try {
    const [api, sdk, exporter, resources] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace-node'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
    return { api, sdk, exporter, resources };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error;
    throw new ConfigError(
      'OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed: npm install --save-prod @opentelemetry/api@1.9 ' +
        '@opentelemetry/sdk-trace-node@2 @opentelemetry/resources@2 @opentelemetry/exporter-trace-otlp-http@0.223',
      { cause: error },
    );
  }
}
