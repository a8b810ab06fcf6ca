import { fromJson, getOption, type JsonValue } from '@bufbuild/protobuf';
import { http } from '@zitadel/proto/google/api/annotations_pb.js';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import {
  ResendPhoneCodeRequestSchema,
  ResendPhoneCodeResponseSchema,
  UserService,
} from '@zitadel/proto/zitadel/user/v2/user_service_pb.js';
import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { grpcCodes } from '../src/zitadel/grpc-code.js';
import { manager, openStage, unverified } from './support/stage.js';

// ZITADEL's own descriptors are the judge here. `fromJson` refuses a field that the message does not have.

test.for([
  ['SEND_CODE', 'sendCode'],
  ['RETURN_CODE', 'returnCode'],
])('%s is sent as a ResendPhoneCodeRequest with %s', async ([mode, verification]) => {
  await using stage = await openStage();

  await stage.resend({ mode });

  const [call] = stage.zitadel.calls;
  const request = fromJson(ResendPhoneCodeRequestSchema, JSON.parse(call?.body ?? '') as JsonValue);
  expect(request.verification.case).toBe(verification);
  const rule = getOption(UserService.method.resendPhoneCode, http);
  expect(rule).toMatchObject({ pattern: { case: 'post' }, body: '*' });
  expect(call?.method).toBe('POST');
  expect(call?.path).toBe((rule.pattern.value as string).replace('{user_id}', unverified));
});

const ask = async (url: string, userId: string, body: string) => {
  const response = await fetch(`${url}/v2/users/${userId}/phone/resend`, { method: 'POST', headers: manager, body });
  return (await response.json()) as { [key: string]: JsonValue };
};

test('the embedded ZITADEL answers a ResendPhoneCodeResponse', async () => {
  await using stage = await openStage();

  const sent = fromJson(ResendPhoneCodeResponseSchema, await ask(stage.zitadel.url, unverified, '{"sendCode":{}}'));
  const returned = fromJson(
    ResendPhoneCodeResponseSchema,
    await ask(stage.zitadel.url, unverified, '{"returnCode":{}}'),
  );

  expect(sent).toMatchObject({ details: { sequence: 1n, resourceOwner: users.unverified.organisation } });
  expect(sent.verificationCode).toBeUndefined();
  expect(returned).toMatchObject({
    details: { sequence: 2n },
    verificationCode: stage.zitadel.pendingCode(unverified),
  });
});

test('the embedded ZITADEL refuses with a google.rpc.Status that holds an ErrorDetail', async () => {
  await using stage = await openStage();

  const { code, message, details, ...rest } = await ask(stage.zitadel.url, users.verified.userId, '{}');

  expect(rest).toEqual({});
  expect(grpcCodes[code as number]).toBe('FAILED_PRECONDITION');
  const [{ '@type': type, ...detail }] = details as [{ [key: string]: JsonValue }];
  expect(type).toBe(`type.googleapis.com/${ErrorDetailSchema.typeName}`);
  expect(fromJson(ErrorDetailSchema, detail)).toMatchObject({ id: 'PHONE-5xrra88eq8', message: 'No code to resend' });
  expect(message).toBe('No code to resend (PHONE-5xrra88eq8)');
});
