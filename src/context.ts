import type { IncomingHttpHeaders } from 'node:http';
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
  /** How many representations it has asked for so far. */
  representations: number;
}

/** Never throws: a throwing context is an HTTP 500, which gateways repeat. */
export function createContext(
  headers: IncomingHttpHeaders,
  record: RequestRecord,
  zitadel: ZitadelClient,
  guard: Guard,
  sms: Config['sms'],
): RequestContext {
  const caller = callerOf(headers, record);
  return {
    contactPhone: new ContactPhoneService(zitadel, guard, caller, sms.countries, record),
    record,
    representations: 0,
  };
}

/** undefined when the request carries no `Authorization`. */
function callerOf(headers: IncomingHttpHeaders, { watchCall }: RequestRecord): Caller | undefined {
  const { authorization, 'accept-language': acceptLanguage } = headers;
  if (!authorization) return undefined;
  // Node joins repeated headers into one string; its types say so of the common ones only.
  const { traceparent, tracestate } = headers as Record<string, string | undefined>;
  return { headers: { authorization, 'accept-language': acceptLanguage, traceparent, tracestate }, watchCall };
}
