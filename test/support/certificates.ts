import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

// X.509 certificates (RFC 5280), written in DER by hand: Node.js cannot make them, and openssl is not installed everywhere.

const dayMs = 24 * 60 * 60 * 1000;

export interface Certificate {
  cert: string;
  key: string;
}

interface Contents {
  subject: string;
  extensions: Buffer[];
  isExpired?: boolean;
}

/** An authority that no one trusts, unless a test says so. It issues certificates for host names and IPv4 addresses. */
export function createAuthority(name = 'Test authority') {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certify = (publicKey: KeyObject, { subject, extensions, isExpired = false }: Contents) => {
    const toBeSigned = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      ecdsaWithSha256,
      commonName(name),
      sequence(time(Date.now() - 2 * dayMs), time(Date.now() + (isExpired ? -1 : 1) * dayMs)),
      commonName(subject),
      publicKey.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    );
    const signature = sign('sha256', toBeSigned, own.privateKey);
    const base64 = sequence(toBeSigned, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature)).toString('base64');
    const lines = ['-----BEGIN CERTIFICATE-----', ...(base64.match(/.{1,64}/g) ?? []), '-----END CERTIFICATE-----', ''];
    return lines.join('\n');
  };
  return {
    /** Its own certificate. */
    cert: certify(own.publicKey, {
      subject: name,
      extensions: [sequence(basicConstraints, critical, der(0x04, sequence(critical)))],
    }),
    /** @param subject its common name, which is also its host name if there are no others */
    issue(subject: string, { hosts = [subject], isExpired = false } = {}): Certificate {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = hosts.map((host) =>
        isIPv4(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host)),
      );
      const extensions = [sequence(subjectAlternativeName, der(0x04, sequence(...alternatives)))];
      return {
        cert: certify(publicKey, { subject, extensions, isExpired }),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      };
    },
  };
}

/** @returns the path of a file with this text, which is removed after the test */
export function fileWith(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-pem-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file.pem');
  writeFileSync(path, text);
  return path;
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const lengthBytes = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), content]);
}

const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const objectId = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const commonName = (text: string) => sequence(der(0x31, sequence(objectId('550403'), der(0x0c, Buffer.from(text)))));
const time = (ms: number) => der(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`));
const ecdsaWithSha256 = sequence(objectId('2a8648ce3d040302'));
const basicConstraints = objectId('551d13');
const subjectAlternativeName = objectId('551d11');
/** The boolean true: marks an extension as critical, and a certificate as one of an authority. */
const critical = der(0x01, Buffer.from([255]));
