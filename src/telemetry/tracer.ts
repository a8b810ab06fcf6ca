import { setTimeout as wait } from 'node:timers/promises';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { CollectorConfig, TracesConfig } from '../config/config.js';
import type { Logger } from '../logger.js';
import { version } from '../version.js';

const serviceName = 'contact-phone-subgraph';
/** The version of the semantic conventions that the names of spans and attributes follow. */
const schemaUrl = 'https://opentelemetry.io/schemas/1.45.0';
/** The SDK retries an unreachable collector for ten seconds. Shutdown should not wait that long. */
const flushMs = 2_000;
/** After startup, at most one warning of the SDK is logged in this time. */
const quietMs = 60_000;

/**
 * Starts OpenTelemetry's SDK, which reads OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and others itself. Its packages
 * are optional, and loaded only here.
 *
 * @returns undefined if traces are off, or cannot be sent; the log says why
 */
export async function startTracer({ collector, warnings }: TracesConfig, logger: Logger) {
  for (const warning of warnings) logger.warn(warning);
  if (!collector) return undefined;
  try {
    return await open(collector, logger);
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    if (!isMissing) logger.warn({ err: error }, 'Traces could not be started: none are sent.');
    else
      logger.warn(
        `${collector.variable} is set, but the OpenTelemetry packages are not installed: install without --omit=optional. No traces are sent.`,
      );
    return undefined;
  }
}

async function open({ url, format }: CollectorConfig, logger: Logger) {
  const [api, core, sdk, resources, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/core'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/resources'),
    format === 'json'
      ? import('@opentelemetry/exporter-trace-otlp-http')
      : import('@opentelemetry/exporter-trace-otlp-proto'),
  ]);

  // This logger is global, because the SDK reports its warnings nowhere else.
  let quietUntil = 0;
  let isStarted = false;
  const warn = (message: string) => {
    const now = performance.now();
    if (now < quietUntil) return;
    if (isStarted) quietUntil = now + quietMs;
    // The message quotes values of variables. The arguments after it may contain the collector's answer.
    logger.warn({ warning: message.replace(/(["']).*\1/gs, '…') }, 'OpenTelemetry warning');
  };
  const ignore = () => undefined;
  api.diag.setLogger(
    { error: warn, warn, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: api.DiagLogLevel.WARN, suppressOverrideMessage: true },
  );

  const { exporter, isDown } = watch(new OTLPTraceExporter({ url }), { code: core.ExportResultCode.SUCCESS }, logger);
  const provider = new sdk.BasicTracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.name': serviceName, 'service.version': version }))
      .merge(resources.detectResources({ detectors: [resources.envDetector] })),
    spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
  });
  isStarted = true;

  return {
    api,
    tracer: provider.getTracer(serviceName, version, { schemaUrl }),
    propagator: new core.W3CTraceContextPropagator(),
    close: async () => {
      const sent = provider.shutdown().then(
        () => !isDown(),
        () => false,
      );
      if (!(await Promise.race([sent, wait(flushMs, false)])))
        logger.warn('The last traces did not reach the collector');
      api.diag.disable();
    },
  };
}

/** Logs when the collector goes down and when it is up again, as for ZITADEL and Redis. The SDK would log each failed batch. */
function watch(
  exporter: SpanExporter,
  success: Parameters<Parameters<SpanExporter['export']>[1]>[0],
  logger: Logger,
): { exporter: SpanExporter; isDown: () => boolean } {
  let isDown = false;
  const watched: SpanExporter = {
    export(spans, done) {
      exporter.export(spans, ({ error }) => {
        if (error && !isDown)
          logger.warn({ reason: reasonOf(error) }, 'The OpenTelemetry collector is down: spans are lost');
        if (!error && isDown) logger.info('The OpenTelemetry collector is up');
        isDown = error !== undefined;
        // The SDK would log the error with the collector's answer, which may quote a header.
        done(success);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
  return { exporter: watched, isDown: () => isDown };
}

/** Such as `ECONNREFUSED` or `HTTP 401`. If there is an HTTP status, the message comes from the collector, and is not logged. */
function reasonOf(error: Error & { code?: string | number | undefined }): string {
  if (error.code === undefined) return error.message;
  return typeof error.code === 'number' ? `HTTP ${error.code}` : error.code;
}
