/** The APIs of ZITADEL's user service. */
export type Api = 'rest' | 'connect';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer;
}

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

export const plainText = (status: number, body: string, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
  body,
});

/** google.rpc.Code, with the HTTP status in both APIs and the name in Connect. */
const codes = {
  2: { httpStatus: 500, name: 'unknown' },
  3: { httpStatus: 400, name: 'invalid_argument' },
  5: { httpStatus: 404, name: 'not_found' },
  7: { httpStatus: 403, name: 'permission_denied' },
  8: { httpStatus: 429, name: 'resource_exhausted' },
  9: { httpStatus: 400, name: 'failed_precondition' },
  12: { httpStatus: 405, name: 'unimplemented' },
  13: { httpStatus: 500, name: 'internal' },
  14: { httpStatus: 503, name: 'unavailable' },
  16: { httpStatus: 401, name: 'unauthenticated' },
} as const;

/** One of ZITADEL's errors: its id is in both the message and a detail, or in neither. */
export class Refusal extends Error {
  constructor(
    readonly code: keyof typeof codes,
    readonly text: string,
    readonly id?: string,
  ) {
    super(id === undefined ? text : `${text} (${id})`);
  }

  /** A google.rpc.Status over REST, and Connect's error over Connect. */
  answer(api: Api): Answer {
    const { httpStatus, name } = codes[this.code];
    const { message } = this;
    if (api === 'connect') {
      return json(httpStatus, { code: name, message, ...this.details((detail) => connectDetail(detail)) });
    }
    const details = this.details((detail) => ({ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', ...detail }));
    const headers = this.code === 16 ? { 'www-authenticate': message } : {};
    return json(httpStatus, { code: this.code, message, ...details }, headers);
  }

  private details(write: (detail: ErrorDetail) => object): object {
    if (this.id === undefined) return {};
    // proto3 JSON omits zero values, and one of ZITADEL's ids is empty.
    return { details: [write({ ...(this.id !== '' && { id: this.id }), message: this.text })] };
  }
}

/** A zitadel.v1.ErrorDetail. */
interface ErrorDetail {
  id?: string;
  message: string;
}

function connectDetail(detail: ErrorDetail): object {
  const bytes = Buffer.concat([protobufText(1, detail.id ?? ''), protobufText(2, detail.message)]);
  return { type: 'zitadel.v1.ErrorDetail', value: bytes.toString('base64').replace(/=+$/, ''), debug: detail };
}

/** A string field of a protobuf message. It must be shorter than 128 bytes, so that the varint of its length is one byte. */
function protobufText(field: number, text: string): Buffer {
  return text === ''
    ? Buffer.of()
    : Buffer.concat([Buffer.of((field << 3) | 2, Buffer.byteLength(text)), Buffer.from(text)]);
}

export interface Sms {
  userId: string;
  /** Empty if the phone was removed: a ghost SMS. See docs/zitadel.md. */
  number: string;
  code: string;
}
