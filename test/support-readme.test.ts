import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { gate } from './support/gate.js';
import { openStage } from './support/stage.js';

const page = readFileSync('test/support/README.md', 'utf8');

test('the list of helpers is complete, and names no other', () => {
  const listed = [...page.matchAll(/^\| `(\S+)` /gm)].map(([, file]) => file);

  expect(listed.sort()).toEqual(readdirSync('test/support').filter((file) => file.endsWith('.ts')));
});

test('sends one SMS, even if the caller taps twice', async () => {
  await using stage = await openStage({ SMS_LIMITS: '1/30s' });
  const answering = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: answering.opened });

  const first = stage.resend();
  await stage.zitadel.written(1);
  const second = stage.resend();
  answering.open();

  expect((await first).errors).toBeUndefined();
  expect((await second).errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('the example is the story above', () => {
  const [, example = ''] = /```ts\n(.*?)```/s.exec(page) ?? [];

  expect(readFileSync(import.meta.filename, 'utf8')).toContain(`\n${example}`);
});
