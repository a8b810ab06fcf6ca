import DataLoader from 'dataloader';
import { Failure } from '../failure.js';
import type { Limits } from '../limits/limits.js';
import type { Phone } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/caller.js';
import { createUserLoader, type UserLoader } from './users.js';
import { badUserId } from './validation.js';

export interface ContactPhone extends Phone {
  /** When another SMS may be sent to its user. graphql-js calls this only if the field is selected. */
  resendAvailableAt: () => Promise<string | null>;
}

/** Reads contact phones, for the caller of one request. One instance per request. Every method throws only Failures. */
export class PhoneReader {
  private users: UserLoader | undefined;
  private smsOpensAt: DataLoader<string, Date | null> | undefined;

  /** @param caller undefined if the request has no usable `Authorization` */
  constructor(
    private readonly zitadel: ZitadelClient,
    private readonly limits: Limits,
    readonly caller: Caller | undefined,
  ) {}

  /** Whether this can be the id of a user. */
  isUserId(userId: string): boolean {
    return this.zitadel.isUserId(userId);
  }

  /** Refuses an anonymous caller or a bad id, before any call. */
  admit(userId: string): Caller {
    if (!this.caller) throw tokenMissing;
    if (!this.isUserId(userId)) throw badUserId(userId);
    return this.caller;
  }

  /** Reads the user's phone; null if they have none. */
  async read(userId: string): Promise<ContactPhone | null> {
    // The error does not repeat an id that is not valid.
    if (!this.isUserId(userId)) throw this.caller ? badUserId(userId) : tokenMissing;
    const [phone] = await this.readAll([userId]);
    if (phone instanceof Failure) throw phone;
    return phone ?? null;
  }

  /** Reads the user at ZITADEL, even if only their id is needed. */
  async readUser(userId: string): Promise<{ id: string; contactPhone: ContactPhone | null }> {
    return { id: userId, contactPhone: await this.read(userId) };
  }

  /**
   * Reads the phones of many users: for each one the phone, null if they have none, or why it could not be read.
   *
   * @param userIds must be valid
   */
  async readAll(userIds: readonly string[]): Promise<(ContactPhone | null | Failure)[]> {
    const { caller } = this;
    if (!caller) return userIds.map((userId) => tokenMissing.with({ userId }));
    const users = await (this.users ??= createUserLoader(this.zitadel, caller)).load(userIds);
    return userIds.map((userId) => {
      const user = users.get(userId) ?? userUnknown;
      if (user instanceof Failure) return user.with({ userId });
      return user.phone && this.toContactPhone(userId, user.phone);
    });
  }

  /** Makes a contact phone from a phone that was already read or set. */
  toContactPhone(userId: string, { number, isVerified }: Phone): ContactPhone {
    let found: Promise<string | null> | undefined;
    // One lookup for all aliases of the field.
    return { number, isVerified, resendAvailableAt: () => (found ??= this.resendAvailableAt(userId)) };
  }

  private async resendAvailableAt(userId: string): Promise<string | null> {
    const opensAt = await (this.smsOpensAt ??= this.createLoader()).load(userId);
    return opensAt?.toISOString() ?? null;
  }

  /** Batches the lookups made in the same tick, each user once: thousands of lookups could keep Redis busy. No caching. */
  private createLoader(): DataLoader<string, Date | null> {
    const loader = new DataLoader((userIds: readonly string[]) => {
      loader.clearAll();
      return this.limits.sms.opensAt(userIds);
    });
    return loader;
  }
}

const tokenMissing = new Failure({ code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING' });

const userUnknown = new Failure({ code: 'NOT_FOUND', reason: 'USER_UNKNOWN' });
