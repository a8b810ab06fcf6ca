import { randomUUID } from 'node:crypto';
import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Sms } from './answers.js';
import { item, page, script, style } from './outbox-page.js';

const path = '/outbox';

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

const event = (name: string, id: string, data: string) => `event: ${name}\nid: ${id}\ndata: ${data}\n\n`;

/** A page that shows each SMS as soon as it is "sent". */
export class Outbox {
  private readonly items: string[] = [];
  private readonly events: string[] = [];
  /** In the id of each event, so that a page notices that the demo was restarted. */
  private readonly run = randomUUID();
  private readonly streams = new Set<PassThrough>();
  private isClosing = false;

  add(sms: Sms): void {
    const html = item({ ...sms, sentAt: new Date() });
    this.items.push(html);
    const sent = event('sms', this.idOf(this.items.length), html);
    this.events.push(sent);
    for (const stream of this.streams) stream.write(sent);
  }

  /** @param hasPlayground whether the page links to it */
  serve(http: FastifyInstance, hasPlayground: boolean): void {
    const file = (name: string, type: string, body: () => string) =>
      http.get(name, (_request, reply) => reply.headers(headers).type(`text/${type}; charset=utf-8`).send(body()));
    file(path, 'html', () => page(this.items, this.idOf(this.items.length), hasPlayground));
    file(`${path}/script.js`, 'javascript', () => script);
    file(`${path}/style.css`, 'css', () => style);
    http.get<{ Querystring: { after?: string | string[] } }>(
      `${path}/events`,
      { exposeHeadRoute: false },
      ({ headers: { 'last-event-id': lastId }, query: { after } }, reply) => {
        // A browser sends the header when it reconnects. The page has the id of the last event that it was loaded with.
        const stream = this.open(String(lastId ?? after));
        return reply.headers(headers).type('text/event-stream').send(stream);
      },
    );
    // Otherwise open pages would hold up the shutdown.
    http.addHook('preClose', (done) => {
      this.isClosing = true;
      for (const stream of this.streams) stream.end();
      // A request in flight may still send an SMS, and a stream that has ended cannot take it.
      this.streams.clear();
      done();
    });
  }

  /** Opens a stream that begins with what the page has missed. */
  private open(lastId: string): PassThrough {
    const stream = new PassThrough();
    const [run, count] = lastId.split('.');
    stream.write('retry: 1000\n\n');
    if (run !== this.run) stream.write(event('restart', this.idOf(0), 'restart'));
    const missed = run === this.run ? this.events.slice(Number(count)) : this.events;
    stream.write(missed.join(''));
    if (this.isClosing) return stream.end();
    this.streams.add(stream);
    return stream.once('close', () => this.streams.delete(stream));
  }

  private idOf(count: number): string {
    return `${this.run}.${count}`;
  }
}
