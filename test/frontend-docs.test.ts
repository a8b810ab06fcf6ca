import { readFileSync, readdirSync } from 'node:fs';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { createSchema } from '../src/graphql/schema.js';
import { startChild } from './support/child.js';
import { blocks } from './support/markdown.js';
import { runShell } from './support/shell.js';
import type { OperationData } from './support/stage.js';

const page = readFileSync('docs/frontend.md', 'utf8');

test('its journey, pasted line by line in front of the demo, works as described', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  const [definition = '', before = '', after = ''] = blocks(page, 'sh');
  const phone = { number: '+41795550103', isVerified: false };

  const answers = [];
  for (const line of before.trim().split('\n')) answers.push(await runShell(definition + line, origin));
  const resent = answers[3]?.data as OperationData['resend-contact-phone-code'];
  const code = resent.resendContactPhoneCode?.verificationCode ?? '';
  for (const line of after.trim().split('\n')) {
    answers.push(await runShell(definition + line.replace('7QK2ZD', code), origin));
  }

  expect(answers).toMatchObject([
    { status: 200, data: { contactPhone: null } },
    { data: { setContactPhone: { verificationCode: null, user: { contactPhone: phone } } } },
    { data: { verifyContactPhone: null }, errors: [{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }] },
    { data: { resendContactPhoneCode: { verificationCode: expect.stringMatching(/^[A-Z0-9]{6}$/) as string } } },
    { data: { verifyContactPhone: { user: { contactPhone: { ...phone, isVerified: true } } } } },
    { data: { removeContactPhone: { user: { contactPhone: null } } } },
  ]);
  expect(answers.map(({ errors }) => errors?.length ?? 0)).toEqual([0, 0, 1, 0, 0, 0]);
  await demo.printed(/SMS to \+41795550103: \S+ is your verification code\.\n/);
  const examples = readdirSync('schema/operations').map((file) => file.replace('.graphql', ''));
  const run = [...(before + after).matchAll(/^run ([a-z-]+) /gm)].map(([, name]) => name);
  expect(new Set(run)).toEqual(new Set(examples));
});

test('its documents are those of schema/operations, or fit the schema', () => {
  const inline = [...page.matchAll(/`(\{[^`]+\})`/g)].map(([, document = '']) => document);

  expect(blocks(page, 'graphql')).toEqual([readFileSync('schema/operations/set-contact-phone.graphql', 'utf8')]);
  expect(inline).toHaveLength(1);
  for (const document of inline) expect(validate(createSchema(), parse(document))).toEqual([]);
});
