/** The `zitadel` of an error's extensions: ZITADEL's own words, as they must come through. */
export const zitadel = (code: number, status: string, httpStatus: number, id: string, text: string) => ({
  code,
  status,
  httpStatus,
  id,
  message: `${text} (${id})`,
  details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id, message: text }],
});

/** Makes ZITADEL answer this JSON. */
export const answered = (body: object, status = 200) => ({
  answer: { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
});
