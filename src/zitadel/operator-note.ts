const maxLength = 300;

/**
 * Makes text from an answer safe for the log: one line, without this request's secrets. ZITADEL quotes its input, as in
 * `invalid value for string field phone: …`.
 *
 * @param secrets the request's token, code and phone number
 */
export function operatorNote(text: string, secrets: readonly string[]): string {
  // Must happen before the text is cut, or half a secret could remain.
  const withoutSecrets = secrets.flatMap(spellingsOf).reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
  return withoutSecrets
    .slice(0, maxLength)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escape)
    .slice(0, maxLength);
}

/** As it was sent, as it appears in a quoted string, and without the `+` of a phone number. */
function spellingsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1);
  return [secret, quoted, secret.replace(/^\+/, '')].filter((spelling) => spelling !== '');
}

function escape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
