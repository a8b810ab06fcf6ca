import type { IncomingMessage } from 'node:http';
import type { Config } from './config.js';
import { ContactPhoneService } from './contact-phone/contact-phone.service.js';
import type { Guard } from './guard/guard.js';
import type { RequestRecord } from './telemetry/request-record.js';
import type { ZitadelClient } from './zitadel/zitadel-client.js';
import type { Caller } from './zitadel/zitadel-connection.js';

/** The context of one GraphQL request. */
export interface RequestContext {
  /** Acts on behalf of the caller. */
  contactPhone: ContactPhoneService;
  record: RequestRecord;
}

/** Must never throw: Apollo Server would answer HTTP 500, which gateways retry. */
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
 * ZITADEL's REST gateway answers HTTP 500 to any other character in a header that it forwards, before it checks the token.
 * https://grpc.io/docs/guides/metadata/
 */
const printableAscii = /^[\x20-\x7e]+$/;

/** @returns undefined if the request has no `Authorization` that could contain a token */
function callerOf({ headers, socket }: IncomingMessage, { watchCall }: RequestRecord): Caller | undefined {
  const { authorization = '' } = headers;
  if (!printableAscii.test(authorization)) return undefined;
  // Node joins repeated headers into one string, but its types only say so for common headers.
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
