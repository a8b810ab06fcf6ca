import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { contents } from './variables.js';

// The PEM files for TLS with ZITADEL. Error messages repeat nothing of their contents.

const certificate = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/** OpenSSL ignores authorities in a list that it cannot parse, so each is parsed here. */
export const certificates = contents.refine((text) => {
  const found = text.match(certificate) ?? [];
  return found.length > 0 && found.every((pem) => !mistakeIn(() => new X509Certificate(pem)));
}, 'must name a file with certificates in PEM format');

export const privateKey = contents.refine(
  (key) => !mistakeIn(() => createSecureContext({ key })),
  'must name a file with a private key in PEM format, without a passphrase',
);

const names = { ca: 'ZITADEL_CA_FILE', cert: 'ZITADEL_CLIENT_CERT_FILE', key: 'ZITADEL_CLIENT_KEY_FILE' } as const;

/**
 * What is wrong with the combination of the variables.
 *
 * @param set the variables as they are set
 * @param pair the contents of the files, if all variables are valid
 */
export function tlsMistakes(set: Record<string, string | undefined>, { cert, key }: SecureContextOptions): string[] {
  const isSet = (name: string) => set[name] !== undefined;
  const isPlain = /^http:/i.test(set['ZITADEL_URL'] ?? '');
  const needless = isPlain ? Object.values(names).filter(isSet) : [];
  const mistakes = needless.map((name) => `${name} needs an https ZITADEL_URL`);
  if (isSet(names.cert) !== isSet(names.key)) mistakes.push(`${names.cert} and ${names.key} must be set together`);
  const mistake = cert && key ? mistakeIn(() => createSecureContext({ cert, key })) : undefined;
  if (mistake) mistakes.push(`${names.key} does not fit ${names.cert} (${mistake})`);
  return mistakes;
}

/** @returns the code of the error; undefined if there is none */
function mistakeIn(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  }
}
