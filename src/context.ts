import type { IncomingHttpHeaders } from 'node:http';
import type { ContactPhoneService } from './contact-phone/contact-phone.service.js';
import type { Caller } from './zitadel/zitadel-client.js';

/** What one GraphQL request knows; it dies with the request. */
export interface RequestContext {
  /** undefined when the request carries no `Authorization`. */
  caller: Caller | undefined;
  contactPhone: ContactPhoneService;
}

/** Never throws: a throwing context is an HTTP 500, which gateways repeat. */
export function createContext(headers: IncomingHttpHeaders, contactPhone: ContactPhoneService): RequestContext {
  return { caller: callerOf(headers), contactPhone };
}

function callerOf(headers: IncomingHttpHeaders): Caller | undefined {
  const { authorization, 'accept-language': acceptLanguage, traceparent, tracestate } = headers;
  if (!authorization) return undefined;
  return {
    authorization,
    'accept-language': acceptLanguage,
    traceparent: single(traceparent),
    tracestate: single(tracestate),
  };
}

/** Node joins repeated headers; its types do not know that of the less common ones. */
function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header;
}
