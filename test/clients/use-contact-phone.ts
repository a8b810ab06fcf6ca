import { useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { contactPhoneFailure, type ContactPhoneFailure } from '../../src/errors.js';
import { contactPhone, type ContactPhone } from './documents.js';

export interface Message {
  isProblem: boolean;
  text: string;
}

export interface Change {
  /** Sends the mutation. */
  send: () => Promise<unknown>;
  /** What to show if it was carried out. */
  done: string;
  /** Whether the stored phone shows that the change was made. If so, `reached` or `done` is shown, even after an error. */
  isReached?: (phone: ContactPhone | null | undefined) => boolean;
  reached?: string;
  /** What to add if nobody knows whether it was carried out. */
  unknown?: string;
}

/** Reads the phone of a user, and changes it without ever repeating a change. */
export function useContactPhone(userId: string) {
  const { data, error, loading, refetch } = useQuery(contactPhone, { variables: { userId } });
  const [isChanging, setIsChanging] = useState(false);
  const [message, setMessage] = useState<Message>();

  /** Reads the phone from the server. Undefined if that fails: then `error` says why. */
  const read = () =>
    refetch().then(
      (result) => result.data?.contactPhoneUser?.contactPhone,
      () => undefined,
    );

  async function make(change: Change): Promise<void> {
    setIsChanging(true);
    setMessage({ isProblem: false, text: 'Please wait…' });
    try {
      await change.send();
      setMessage({ isProblem: false, text: change.done });
    } catch (cause) {
      const failure = contactPhoneFailure(cause);
      if (failure.outcome === 'UNKNOWN') setMessage({ isProblem: true, text: 'No answer. Checking the phone…' });
      // The cache keeps nothing of an answer with an error.
      setMessage(messageFor(change, failure, await read()));
    } finally {
      setIsChanging(false);
    }
  }

  return {
    /** Undefined until it is known; null if there is none. */
    phone: error ? undefined : data?.contactPhoneUser?.contactPhone,
    failureOfRead: error && contactPhoneFailure(error),
    read,
    isBusy: isChanging || loading,
    message,
    make,
  };
}

function messageFor(change: Change, failure: ContactPhoneFailure, phone: ContactPhone | null | undefined): Message {
  const { outcome, text, attemptsLeft, retryAfter } = failure;
  // Only something after the change failed, such as reading the user.
  if (outcome === 'DONE') return { isProblem: false, text: change.done };
  // The browser may have sent the mutation twice: then this is only the answer to the second one.
  if (change.isReached?.(phone)) return { isProblem: false, text: change.reached ?? change.done };
  if (outcome === 'UNKNOWN') {
    return { isProblem: true, text: `We do not know whether that worked. ${change.unknown ?? ''}` };
  }
  const attempts = attemptsLeft === undefined ? '' : ` Attempts left: ${attemptsLeft}.`;
  const wait = retryAfter === undefined ? '' : ` Wait ${retryAfter} seconds.`;
  return { isProblem: true, text: text + attempts + wait };
}
