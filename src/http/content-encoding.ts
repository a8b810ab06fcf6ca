import { promisify } from 'node:util';
import { brotliDecompress, brotliDecompressSync, gunzip, gunzipSync, type ZlibOptions } from 'node:zlib';

/** The supported content encodings, as the value of an `Accept-Encoding` header. */
export const contentEncodings = 'gzip, br';

/** Both stop and throw as soon as the result exceeds `maxOutputLength`. */
export interface Decoder {
  decode: (body: Buffer, options: ZlibOptions) => Promise<Buffer>;
  decodeSync: (body: Buffer, options: ZlibOptions) => Buffer;
}

const gzip: Decoder = { decode: promisify<Buffer, ZlibOptions, Buffer>(gunzip), decodeSync: gunzipSync };
const br: Decoder = {
  decode: promisify<Buffer, ZlibOptions, Buffer>(brotliDecompress),
  decodeSync: brotliDecompressSync,
};

/** By lower-case name. `x-gzip` means gzip: RFC 9110, section 8.4.1.3. */
const decoders = new Map<string, Decoder | undefined>([
  ['gzip', gzip],
  ['x-gzip', gzip],
  ['br', br],
  ['identity', undefined],
  ['', undefined],
]);

export function isKnownEncoding(contentEncoding: string | undefined): boolean {
  return contentEncoding === undefined || decoders.has(contentEncoding.toLowerCase());
}

/** @returns undefined if the body is not compressed */
export function decoderOf(contentEncoding: string | undefined): Decoder | undefined {
  return contentEncoding === undefined ? undefined : decoders.get(contentEncoding.toLowerCase());
}

export function isTooLarge(error: unknown): boolean {
  return error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}
