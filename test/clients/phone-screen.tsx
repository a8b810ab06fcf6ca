import { useMutation } from '@apollo/client/react';
import { useEffect, useReducer, type SubmitEvent } from 'react';
import { serverNow } from './client.js';
import {
  removeContactPhone,
  resendContactPhoneCode,
  setContactPhone,
  verifyContactPhone,
  type ContactPhone,
} from './documents.js';
import { useContactPhone } from './use-contact-phone.js';

export function PhoneScreen({ userId }: { userId: string }) {
  const { phone, failureOfRead, read, isBusy, message, make } = useContactPhone(userId);
  const [set] = useMutation(setContactPhone);
  const [resend] = useMutation(resendContactPhoneCode);
  const [verify] = useMutation(verifyContactPhone);
  const [remove] = useMutation(removeContactPhone);

  const submitNumber = (number: string) =>
    make({
      send: () => set({ variables: { userId, number } }),
      done: 'We sent you a code by SMS.',
      isReached: (stored) => stored?.number === number.replace(/[^+\d]/g, ''),
      reached: 'Your number is saved. An SMS may have been sent.',
      unknown: 'An SMS may have been sent.',
    });
  const sendNewCode = () =>
    make({
      send: () => resend({ variables: { userId } }),
      done: 'We sent you a new code by SMS.',
      isReached: (stored) => stored?.resendAvailableAt != null && stored.resendAvailableAt !== phone?.resendAvailableAt,
      reached: 'An SMS may have been sent.',
      unknown: 'An SMS may have been sent.',
    });
  const submitCode = (verificationCode: string) =>
    make({
      send: () => verify({ variables: { userId, verificationCode } }),
      done: 'Your phone is verified.',
      isReached: (stored) => stored?.isVerified === true,
    });
  const removePhone = () =>
    make({
      send: () => remove({ variables: { userId } }),
      done: 'Your phone is removed.',
      isReached: (stored) => stored === null,
    });

  return (
    <section aria-busy={isBusy}>
      <h1>Contact phone</h1>
      <p role="status">{message?.isProblem === false && message.text}</p>
      <p role="alert">{message?.isProblem && message.text}</p>
      {failureOfRead && (
        <>
          <p role="alert">
            We cannot show your phone right now.{' '}
            {failureOfRead.code === 'UNKNOWN' ? 'No answer arrived.' : failureOfRead.text}
          </p>
          <button disabled={isBusy} onClick={() => void read()}>
            Check again
          </button>
        </>
      )}
      {phone === undefined && !failureOfRead && <p>Loading…</p>}
      {/* Disables all buttons and fields: two clicks must not send two SMS. */}
      <fieldset disabled={isBusy}>
        {phone === null && (
          <Form label="Phone number" type="tel" autoComplete="tel" action="Send code" submit={submitNumber} />
        )}
        {phone && <Phone {...phone} remove={removePhone} />}
        {phone && !phone.isVerified && (
          <>
            <Form label="Code" type="text" autoComplete="one-time-code" action="Verify" submit={submitCode} />
            <Resend availableAt={phone.resendAvailableAt} resend={sendNewCode} />
          </>
        )}
      </fieldset>
    </section>
  );
}

function Phone({ number, isVerified, remove }: ContactPhone & { remove: () => Promise<void> }) {
  return (
    <p className="phone">
      <strong>{number}</strong> <span className="badge">{isVerified ? 'Verified' : 'Not verified'}</span>
      <button className="quiet" onClick={() => void remove()}>
        Remove
      </button>
    </p>
  );
}

function Resend({ availableAt, resend }: { availableAt: string | null; resend: () => Promise<void> }) {
  const seconds = useSecondsUntil(availableAt);
  return (
    <p>
      <button className="quiet" disabled={seconds > 0} onClick={() => void resend()}>
        Send a new code
      </button>
      {seconds > 0 && <span> You can do this in {seconds} s.</span>}
    </p>
  );
}

/** Counts down by the server's clock. */
function useSecondsUntil(time: string | null): number {
  const [, render] = useReducer((ticks: number) => ticks + 1, 0);
  useEffect(() => {
    const timer = setInterval(render, 1000);
    return () => clearInterval(timer);
  }, []);
  return time === null ? 0 : Math.max(0, Math.ceil((Date.parse(time) - serverNow()) / 1000));
}

interface FormProps {
  label: string;
  type: string;
  autoComplete: string;
  action: string;
  submit: (value: string) => Promise<void>;
}

function Form({ label, type, autoComplete, action, submit }: FormProps) {
  const send = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const value = new FormData(event.currentTarget).get('value');
    if (typeof value === 'string') void submit(value);
  };
  return (
    <form onSubmit={send}>
      <label>
        {label}
        <input name="value" type={type} autoComplete={autoComplete} required />
      </label>
      <button>{action}</button>
    </form>
  );
}
