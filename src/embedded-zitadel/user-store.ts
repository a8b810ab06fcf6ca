import { users, type EmbeddedUser } from './population.js';

export interface StoredUser extends EmbeddedUser {
  details: { sequence?: string; changeDate: string; creationDate: string; resourceOwner: string };
}

/** The current state of all users. */
export class UserStore {
  private readonly users: Map<string, StoredUser>;
  private sequence = 0n;

  /** @param moreUsers users in addition to the population */
  constructor(
    readonly now: () => number,
    moreUsers: readonly EmbeddedUser[],
  ) {
    const creationDate = this.moment();
    const all: EmbeddedUser[] = structuredClone([...Object.values(users), ...moreUsers]);
    this.users = new Map(
      all.map((user) => [
        user.userId,
        { ...user, details: { changeDate: creationDate, creationDate, resourceOwner: user.organisation } },
      ]),
    );
  }

  get(userId: string): StoredUser | undefined {
    return this.users.get(userId);
  }

  all(): StoredUser[] {
    return [...this.users.values()];
  }

  /** Records a change of the user, and returns it: ZITADEL's answer to most writes. */
  change(user: StoredUser): { details: object } {
    this.sequence += 1n;
    user.details = { ...user.details, sequence: String(this.sequence), changeDate: this.moment() };
    return { details: user.details };
  }

  /** With microseconds, as in ZITADEL. */
  moment(): string {
    return new Date(this.now()).toISOString().replace('Z', '042Z');
  }
}
