import { createServer } from 'node:http';

// An OpenTelemetry collector that accepts all spans, and drops them.

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
});
server.listen(Number(process.env['PORT']), '127.0.0.1');
