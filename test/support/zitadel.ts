/** The expected `zitadel` in an error's extensions. */
export const zitadel = (code: number, status: string, httpStatus: number, id: string, text: string) => ({
  code,
  status,
  httpStatus,
  id,
  message: `${text} (${id})`,
  details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id, message: text }],
});

/** Makes ZITADEL answer with this JSON. */
export const answered = (body: object, status = 200) => ({
  answer: { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
});
