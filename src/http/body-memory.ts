import type { FastifyRequest } from 'fastify';

/** The maximum memory for all large bodies together. */
export const maxBodyMemory = 64 * 1024 * 1024;

/** Nearly all bodies are smaller. Those never wait, since they use no more memory than headers may. */
export const smallBody = 16 * 1024;

interface Loan {
  bytes: number;
  isGranted: boolean;
  grant: () => void;
}

/**
 * Lends memory to large bodies until their request ends, first come, first served. A body borrows all that it may need at once, so that
 * no two can wait for each other.
 */
export class BodyMemory {
  private free = maxBodyMemory;
  private readonly waiting = new Set<Loan>();
  private readonly loans = new WeakMap<FastifyRequest, Loan>();

  /** @param grant called when the body may be read, perhaps immediately */
  borrow(request: FastifyRequest, bytes: number, grant: () => void): void {
    // BODY_LIMIT may exceed the total. Such a body gets all of it.
    const loan = { bytes: Math.min(bytes, maxBodyMemory), isGranted: false, grant };
    this.loans.set(request, loan);
    this.waiting.add(loan);
    this.serve();
  }

  has(request: FastifyRequest): boolean {
    return this.loans.has(request);
  }

  /** Returns the memory that the body turned out not to need. */
  shrink(request: FastifyRequest, bytes: number): void {
    const loan = this.loans.get(request);
    if (!loan || loan.bytes <= bytes) return;
    this.free += loan.bytes - bytes;
    loan.bytes = bytes;
    this.serve();
  }

  /** Call this when the request ends, even if it was still waiting. */
  giveBack(request: FastifyRequest): void {
    const loan = this.loans.get(request);
    if (!loan) return;
    this.loans.delete(request);
    if (loan.isGranted) this.free += loan.bytes;
    else this.waiting.delete(loan);
    this.serve();
  }

  private serve(): void {
    for (const loan of this.waiting) {
      if (loan.bytes > this.free) return;
      this.waiting.delete(loan);
      this.free -= loan.bytes;
      loan.isGranted = true;
      loan.grant();
    }
  }
}
