import type { IncomingMessage } from 'node:http';
import type { Config } from './config.js';
import { ContactPhoneService } from './contact-phone/contact-phone.service.js';
import type { Guard } from './guard/guard.js';
import type { RequestRecord } from './telemetry/request-record.js';
import type { ZitadelClient } from './zitadel/zitadel-client.js';
import type { Caller } from './zitadel/zitadel-connection.js';

/** What one GraphQL request knows; it dies with the request. */
export interface RequestContext {
  /** Acts on behalf of the caller. */
  contactPhone: ContactPhoneService;
  record: RequestRecord;
}

/** Never throws: a throwing context is an HTTP 500, which gateways repeat. */
export function createContext(
  request: IncomingMessage,
  record: RequestRecord,
  zitadel: ZitadelClient,
  guard: Guard,
  sms: Config['sms'],
): RequestContext {
  const caller = callerOf(request, record);
  return {
    contactPhone: new ContactPhoneService(zitadel, guard, caller, sms.countries, record),
    record,
  };
}

/**
 * ZITADEL's REST gateway answers HTTP 500 to any other character in a header that it hands on, before it looks at the token.
 * https://grpc.io/docs/guides/metadata/
 */
const printableAscii = /^[\x20-\x7e]+$/;

/** undefined when the request carries no `Authorization` that can hold a token. */
function callerOf({ headers, socket }: IncomingMessage, { watchCall }: RequestRecord): Caller | undefined {
  const { authorization = '' } = headers;
  if (!printableAscii.test(authorization)) return undefined;
  // Node joins repeated headers into one string; its types say so of the common ones only.
  const optional = (name: string) => {
    const value = headers[name] as string | undefined;
    return value !== undefined && printableAscii.test(value) ? value : undefined;
  };
  return {
    headers: {
      authorization,
      'accept-language': optional('accept-language'),
      traceparent: optional('traceparent'),
      tracestate: optional('tracestate'),
    },
    watchCall,
    isGone: () => socket.destroyed,
  };
}
