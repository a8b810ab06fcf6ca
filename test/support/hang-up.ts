import { expect } from 'vitest';
import { gate, type Gate } from './gate.js';
import { manager, type openStage } from './stage.js';

/**
 * Starts a resend whose caller hangs up while ZITADEL processes its first call: the read before an SMS, or the only call if the code is
 * returned.
 *
 * @returns the gate that lets ZITADEL answer that call
 */
export async function resendAndHangUp(
  stage: Awaited<ReturnType<typeof openStage>>,
  mode: 'SEND_CODE' | 'RETURN_CODE',
): Promise<Gate> {
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });
  const caller = new AbortController();
  const call = stage.resend({ mode }, manager, caller.signal);
  await stage.zitadel.called(1);
  caller.abort();
  await expect(call).rejects.toThrow();
  return answering;
}
