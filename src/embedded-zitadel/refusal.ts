/** ZITADEL's codes and the HTTP statuses that its REST gateway gives them. */
const httpStatusOf = {
  3: 400,
  5: 404,
  7: 403,
  9: 400,
  12: 405,
  13: 500,
  16: 401,
} as const;

/** A google.rpc.Status in ZITADEL's form: with its id in both the message and a detail, or in neither. */
export class Refusal extends Error {
  constructor(
    readonly code: keyof typeof httpStatusOf,
    readonly text: string,
    readonly id?: string,
  ) {
    super(id === undefined ? text : `${text} (${id})`);
  }

  get httpStatus(): number {
    return httpStatusOf[this.code];
  }

  get body(): object {
    if (this.id === undefined) return { code: this.code, message: this.message };
    const detail = { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: this.id, message: this.text };
    return { code: this.code, message: this.message, details: [detail] };
  }
}
