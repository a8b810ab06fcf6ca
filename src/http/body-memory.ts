import { promisify } from 'node:util';
import { brotliDecompress, brotliDecompressSync, gunzip, gunzipSync, type ZlibOptions } from 'node:zlib';

/** The maximum memory for all large bodies together. */
export const maxBodyMemory = 64 * 1024 * 1024;

/** Nearly all bodies are smaller. Those never wait, since they use no more memory than headers may. */
export const smallBody = 16 * 1024;

/** The memory lent to one body. */
export interface Loan {
  bytes: number;
  readonly grant: () => void;
}

/**
 * Lends memory to large bodies until their request ends, first come, first served. A body borrows everything that it may need in one
 * step, so two bodies never wait for each other.
 */
export class BodyMemory {
  private free = maxBodyMemory;
  private readonly waiting = new Set<Loan>();

  /** @param grant called when the body may be read, perhaps immediately */
  borrow(bytes: number, grant: () => void): Loan {
    // BODY_LIMIT may exceed the total. A body that large gets all of it.
    const loan = { bytes: Math.min(bytes, maxBodyMemory), grant };
    this.waiting.add(loan);
    this.serve();
    return loan;
  }

  /** Returns the memory that the body turned out not to need. */
  shrink(loan: Loan, bytes: number): void {
    if (loan.bytes <= bytes) return;
    this.free += loan.bytes - bytes;
    loan.bytes = bytes;
    this.serve();
  }

  /** Call this when the request ends, even if it was still waiting. */
  giveBack(loan: Loan): void {
    if (!this.waiting.delete(loan)) this.free += loan.bytes;
    // Giving it back a second time must have no effect.
    loan.bytes = 0;
    this.serve();
  }

  private serve(): void {
    for (const loan of this.waiting) {
      if (loan.bytes > this.free) return;
      this.waiting.delete(loan);
      this.free -= loan.bytes;
      loan.grant();
    }
  }
}

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
]);

export function isKnownEncoding(contentEncoding: string): boolean {
  return decoders.has(contentEncoding.toLowerCase());
}

/** @returns undefined if the body is not compressed */
export function decoderOf(contentEncoding: string): Decoder | undefined {
  return decoders.get(contentEncoding.toLowerCase());
}

export function isTooLarge(error: unknown): boolean {
  return error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}
