import { expect } from 'vitest';
import { gate, type Gate } from './gate.js';
import { manager, type openStage } from './stage.js';

/** Starts a resend whose caller hangs up while ZITADEL processes it. @returns the gate that lets ZITADEL answer its first call */
export async function resendAndHangUp(stage: Awaited<ReturnType<typeof openStage>>): Promise<Gate> {
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });
  const caller = new AbortController();
  const call = stage.resend({}, manager, caller.signal);
  await stage.zitadel.called(1);
  caller.abort();
  await expect(call).rejects.toThrow();
  return answering;
}
