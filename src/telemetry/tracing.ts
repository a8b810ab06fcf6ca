import type { Span } from '@opentelemetry/api';
import type { TracesConfig, ZitadelConfig } from '../config/config.js';
import type { Logger } from '../logger.js';
import type { Tracing } from './request-record.js';
import { startTracer } from './tracer.js';

/** https://opentelemetry.io/docs/specs/semconv/http/http-spans/ calls any other method `_OTHER`. */
const knownMethods = ['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'];
const service = 'zitadel.user.v2.UserService';

/**
 * Spans that follow OpenTelemetry's semantic conventions. No GraphQL variable, document, header or body becomes an attribute.
 *
 * @returns undefined if traces are off, or cannot be sent
 */
export async function startTracing(
  config: TracesConfig,
  zitadel: ZitadelConfig,
  logger: Logger,
): Promise<(Tracing & { close: () => Promise<void> }) | undefined> {
  const started = await startTracer(config, logger);
  if (!started) return undefined;
  const { api, tracer, propagator, close } = started;
  const { SpanKind, SpanStatusCode, trace } = api;
  const ofZitadel = attributesOf(zitadel);

  return {
    close,
    begin({ method, path, route, headers }) {
      const known = knownMethods.includes(method) ? method : undefined;
      const attributes = {
        'http.request.method': known ?? '_OTHER',
        'url.path': path,
        // TLS ends in front of this server.
        'url.scheme': 'http',
        ...(route !== undefined && { 'http.route': route }),
      };
      const caller = propagator.extract(api.ROOT_CONTEXT, headers, api.defaultTextMapGetter);
      const name = [known ?? 'HTTP', route].filter(Boolean).join(' ');
      // The parent is passed explicitly, which costs less than a context manager.
      const http = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, caller);
      let current = trace.setSpan(caller, http);
      let operationSpan: Span | undefined;
      const { traceId, spanId } = http.spanContext();

      return {
        traceId,
        spanId,
        beginOperation({ kind, name: given }) {
          const type = { 'graphql.operation.type': kind };
          operationSpan = tracer.startSpan(
            // Its name leaves out the operation's, which clients choose. Its kind is not SERVER: one request must not count as two.
            kind,
            { attributes: given === undefined ? type : { ...type, 'graphql.operation.name': given } },
            current,
          );
          current = trace.setSpan(current, operationSpan);
        },
        beginCall(rpc) {
          const called = `${service}/${rpc}`;
          const attributes = { ...ofZitadel, 'rpc.method': called };
          const span = tracer.startSpan(called, { kind: SpanKind.CLIENT, attributes }, current);
          const traceHeaders: { traceparent?: string; tracestate?: string } = {};
          propagator.inject(trace.setSpan(current, span), traceHeaders, api.defaultTextMapSetter);
          return {
            headers: traceHeaders,
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
  };
}

/** What all calls to ZITADEL have in common. */
function attributesOf({ url, api }: ZitadelConfig) {
  return {
    // The conventions have no word for an RPC that is called as a REST API, but allow our own.
    'rpc.system.name': api === 'connect' ? 'connectrpc' : 'rest',
    'server.address': url.hostname.replace(/^\[|\]$/g, ''),
    'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
  };
}
