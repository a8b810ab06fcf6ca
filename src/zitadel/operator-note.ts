const maxLength = 300;

/**
 * What an answer says, as an operator may read it in the log: in one line, without this request's secrets. ZITADEL quotes what it
 * was sent, such as `invalid value for string field phone: …`.
 *
 * @param secrets the request's token, code and phone number
 */
export function operatorNote(text: string, secrets: readonly string[]): string {
  // Before the text is cut, or half a secret could be left.
  const withoutSecrets = secrets.flatMap(spellingsOf).reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
  return withoutSecrets
    .slice(0, maxLength)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escape)
    .slice(0, maxLength);
}

/** As it was sent, as a quoted string holds it, and a number without its `+`. */
function spellingsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1);
  return [secret, quoted, secret.replace(/^\+/, '')].filter((spelling) => spelling !== '');
}

function escape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
