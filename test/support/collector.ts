import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

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
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Span[] }[] }[];
}

/** An OpenTelemetry collector that stores what it receives: OTLP as JSON over HTTP. */
export async function openCollector() {
  const batches: Batch[] = [];
  const paths = new Set<string | undefined>();
  const server = createServer((request, response) => {
    paths.add(request.url);
    void json(request).then((batch) => {
      batches.push(batch as Batch);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const valueOf = ({ value }: Attribute) => value.stringValue ?? value.intValue;
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths,
    /** Everything received, unparsed. */
    text: () => JSON.stringify(batches),
    /** The spans of a service, in the order in which they ended. */
    spansOf: (service: string): Span[] =>
      batches
        .flatMap(({ resourceSpans }) => resourceSpans)
        .filter(({ resource }) => resource.attributes.some((attribute) => valueOf(attribute) === service))
        .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    attributesOf: (span: Span | undefined) =>
      Object.fromEntries(span?.attributes.map((attribute) => [attribute.key, valueOf(attribute)]) ?? []),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
