import type { Failure, Rpc } from '../failure.js';

/** The person or program that a call is made for. */
export interface Caller {
  /** The only headers of their request that are forwarded to ZITADEL, under the same names. */
  readonly headers: {
    readonly authorization: string;
    readonly 'accept-language'?: string | undefined;
  } & TraceHeaders;
  /** Observes each call made for them. */
  watchCall(call: StartedCall): WatchedCall;
  /** Whether they have hung up. */
  isGone(): boolean;
}

/** https://www.w3.org/TR/trace-context/ */
export interface TraceHeaders {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** What can be observed of a call before it ends. */
export interface StartedCall {
  rpc: Rpc;
  /** The users that are read or changed. */
  userIds: readonly string[];
  /** The country of the number that the SMS goes to, or `001` if the number has none; undefined if the call sends no SMS. */
  smsCountry: string | undefined;
  /** 2 for a read that is repeated. */
  attempt: number;
}

/** Observes one call to its end. */
export interface WatchedCall {
  /** Replace the caller's, so ZITADEL's spans become children of this call. undefined if there is no trace. */
  traceHeaders: TraceHeaders | undefined;
  /** @param httpStatus undefined if there was no answer */
  end(httpStatus: number | undefined, failure?: Failure): void;
}
