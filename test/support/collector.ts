import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: number };
}

export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: Attribute[];
  status: { code?: number };
}

interface Batch {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: { scope: { name: string; version?: string }; spans: Span[]; schemaUrl?: string }[];
  }[];
}

interface Export {
  path: string | undefined;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

const valueOf = ({ value }: Attribute) => value.stringValue ?? value.intValue;

/** Attributes by name. */
export const attributesOf = ({ attributes }: { attributes: Attribute[] } = { attributes: [] }) =>
  Object.fromEntries(attributes.map((attribute) => [attribute.key, valueOf(attribute)]));

/** An OpenTelemetry collector that stores what it receives: OTLP over HTTP. */
export async function openCollector() {
  const exports: Export[] = [];
  let answerOf = ({ headers }: Export) => ({
    status: 200,
    body: /json/.test(headers['content-type'] ?? '') ? '{}' : '',
  });
  const server = createServer((request, response) => {
    void buffer(request).then((received) => {
      const { url: path, headers } = request;
      const body = headers['content-encoding'] === 'gzip' ? gunzipSync(received) : received;
      const one = { path, headers, body };
      exports.push(one);
      const answer = answerOf(one);
      response.writeHead(answer.status, { 'content-type': headers['content-type'] }).end(answer.body);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const resources = () => exports.flatMap(({ body }) => (JSON.parse(body.toString()) as Batch).resourceSpans);
  return {
    url,
    /** Sends traces here, in the format that tests can read. */
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
    /** Everything received. */
    exports,
    answerWith(answer: typeof answerOf) {
      answerOf = answer;
    },
    /** What JSON has been received, by resource. */
    resources,
    /** The spans of a service, in the order in which they ended. */
    spansOf: (service: string): Span[] =>
      resources()
        .filter(({ resource }) => attributesOf(resource)['service.name'] === service)
        .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
