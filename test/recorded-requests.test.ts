import { expect, test } from 'vitest';
import { replay, scenes } from './support/recorded-requests.js';

/** Where the embedded ZITADEL differs from the recorded one: what differs, by the names of the requests, and why. */
const differences: { why: string; what: Record<string, RegExp> }[] = [
  {
    why: 'It is never blocked, out of quota or without its database, and has no other SMS provider or generator of codes.',
    what: {
      status:
        /^(block:(resend|connect|lang)|quota:(?!after|.*garbage)|db-stopped:(?!healthz|unknown route)|twilio-verify:)/,
      verificationCode: /^generator:length 30 set/,
    },
  },
  {
    why: 'It answers at any host, since it runs at 127.0.0.1 and at a random port.',
    what: {
      status:
        /^(host:(?!localhost)|instance-host:empty \(Host 127|public-host:(?!localhost)|forwarded|connect:unknown host)/,
    },
  },
  {
    why: 'JSON.parse and zod decode its messages, with other texts, and do not notice a repeated field.',
    what: {
      message:
        /^(set:(isVerified "true"|(two modes|phone is a number)$)|(resend|connect):both modes|resend:(body (null|cut|is text)|mode \[\])|verify:code is a number|(auth|connect):cut body|list:limit (-1|4294967296))/,
      status: /^resend:duplicate key/,
    },
  },
  {
    why: 'It has only the RPCs that this server calls, without CORS, and the health checks.',
    what: {
      status: /^(route:(v3alpha (a$|users|GET)|root|validate|gateway)|id:slash encoded:get|header:Origin)/,
      'content-type': /^route:(openapi|metrics)/,
      '@type': /^id:slash encoded:set/,
      id: /^id:slash encoded:set/,
      message: /^id:slash encoded:set/,
    },
  },
  {
    why: 'It knows no membership in a project.',
    what: { id: /^caller:projectOwner:get/, message: /^caller:projectOwner:get/ },
  },
  {
    why: 'Its users have no password.',
    what: {
      passwordChanged: /^(self-on-self:(get|list)|state:imported-v1:(get|list)|list:mixed as (self|reader|iamViewer))/,
    },
  },
  { why: 'It never compresses.', what: { 'content-encoding': /^connect:accept gzip/ } },
  {
    why: 'libphonenumber-js does not read letters as digits, and this server refuses such numbers.',
    what: { phone: /^set:(vanity|in a text).*:get/ },
  },
];

test.for(scenes.map((scene) => [scene.name, scene] as const))(
  'the embedded ZITADEL answers as recorded: %s',
  async ([, scene]) => {
    const expected = scene.entries.flatMap(({ name }) => {
      const differing = differences.flatMap(({ what }) => Object.keys(what).filter((field) => what[field]?.test(name)));
      return differing.length > 0 ? [[name, differing.sort()]] : [];
    });

    expect(await replay(scene)).toEqual(Object.fromEntries(expected));
  },
);
