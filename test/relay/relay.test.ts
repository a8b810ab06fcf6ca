import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  commitMutation,
  createOperationDescriptor,
  Environment,
  fetchQuery,
  Network,
  RecordSource,
  Store,
  type ConcreteRequest,
  type GraphQLResponse,
  type MutationParameters,
  type OperationType,
} from 'relay-runtime';
import { expect, test } from 'vitest';
import { contactPhoneFailure } from '../../src/errors.js';
import { openBalancer } from '../support/balancer.js';
import { startChild } from '../support/child.js';
import { stopClock } from '../support/clock.js';
import { gate } from '../support/gate.js';
import {
  checkJourney,
  number,
  oneInHalfAMinute,
  rpcsOfJourney,
  silenceConsole,
  userId,
} from '../support/phone-screen.js';
import { manager, openStage, post, type OperationName, type Phone } from '../support/stage.js';

// Relay with the documents of schema/operations/.

const require = createRequire(import.meta.url);
const binary = require('relay-compiler') as string;

const config = {
  src: './src',
  schema: './contact-phone.client.graphql',
  language: 'typescript',
  eagerEsModules: true,
  customScalarTypes: { DateTime: 'string', PhoneNumber: 'string', VerificationCode: 'string' },
  requireCustomScalarTypes: true,
};

/** The name of an example operation, by its file name. */
const nameOf = (file: string) => file.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Compiles a frontend with the example operations. Relay requires them to be named after their modules, with a suffix for their type. */
async function compile(schema = 'schema/contact-phone.client.graphql') {
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-relay-'));
  await cp(schema, join(folder, config.schema));
  await mkdir(join(folder, config.src));
  await writeFile(join(folder, 'relay.config.json'), JSON.stringify(config));
  for (const file of await readdir('schema/operations')) {
    const example = await readFile(`schema/operations/${file}`, 'utf8');
    const named = example.replace(/^query \w+/, '$&Query').replace(/^mutation \w+/, '$&Mutation');
    const name = nameOf(file.replace('.graphql', ''));
    await writeFile(join(folder, config.src, `${name}.ts`), `graphql\`${named}\`;`);
  }
  await using compiler = startChild([], {}, binary, folder);
  const exitCode = await compiler.exited;
  const artefact = (name: OperationName) => {
    const type = name === 'contact-phone' ? 'Query' : 'Mutation';
    return join(folder, config.src, '__generated__', `${nameOf(name)}${type}.graphql.ts`);
  };
  return {
    exitCode,
    printed: compiler.printed,
    complained: compiler.complained,
    /** The TypeScript of a compiled operation. */
    read: (name: OperationName) => readFile(artefact(name), 'utf8'),
    load: async (name: OperationName) =>
      ((await import(pathToFileURL(artefact(name)).href)) as { default: ConcreteRequest }).default,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

interface ContactPhoneQuery extends OperationType {
  variables: { userId: string };
  response: { contactPhoneUser: { contactPhone: Phone } | null };
}

/** A frontend that shows the phone. */
async function openScreen(url: string, { load }: Pick<Awaited<ReturnType<typeof compile>>, 'load'>) {
  const sent: string[] = [];
  const environment = new Environment({
    network: Network.create(async ({ name, text }, variables) => {
      sent.push(name);
      const { data, errors } = await post(url, { query: text, variables }, manager);
      return { data, errors } as GraphQLResponse;
    }),
    store: new Store(new RecordSource()),
  });
  const query = await load('contact-phone');
  const read = () =>
    fetchQuery<ContactPhoneQuery>(environment, query, { userId }, { fetchPolicy: 'store-or-network' }).toPromise();
  const operation = createOperationDescriptor(query, { userId });
  environment.retain(operation);
  await read();
  const phoneIn = (data: unknown) => (data as ContactPhoneQuery['response']).contactPhoneUser?.contactPhone;
  const first = environment.lookup(operation.fragment);
  let shown = phoneIn(first.data);
  environment.subscribe(first, ({ data }) => (shown = phoneIn(data)));

  /** The error of a mutation, or null. */
  const errorOf = async (
    name: OperationName,
    variables: Record<string, string>,
    optimisticResponse?: Record<string, unknown>,
  ) => {
    const mutation = await load(name);
    return new Promise<object | null>((resolve) => {
      commitMutation<MutationParameters & { rawResponse: Record<string, unknown> }>(environment, {
        mutation,
        variables,
        ...(optimisticResponse && { optimisticResponse }),
        onError: resolve,
        // If there is `data`, Relay does not call `onError`, even if the mutation failed.
        onCompleted: (_, errors) => resolve(errors ? { errors } : null),
      });
    });
  };
  return {
    shown: () => shown,
    errorOf,
    run: async (...step: Parameters<typeof errorOf>) => expect(await errorOf(...step)).toBeNull(),
    /** Reads the phone from the store, or if it is not there, from the network. */
    read,
    /** The operations that it sent. */
    sent,
  };
}

test('shows what is true after each step, without another read', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: oneInHalfAMinute });
  await using frontend = await compile();
  const screen = await openScreen(stage.graphql, frontend);

  await checkJourney(screen, stage, clock);
  expect(await screen.read()).toMatchObject({ contactPhoneUser: { contactPhone: null } });

  expect(screen.sent).toEqual([
    'ContactPhoneQuery',
    'SetContactPhoneMutation',
    'ResendContactPhoneCodeMutation',
    'VerifyContactPhoneMutation',
    'RemoveContactPhoneMutation',
  ]);
  expect(stage.rpcs()).toEqual(rpcsOfJourney);
});

test('shows a phone as removed before ZITADEL answers', async () => {
  const warnings = silenceConsole();
  await using stage = await openStage();
  await using frontend = await compile();
  const screen = await openScreen(stage.graphql, frontend);
  await screen.run('set-contact-phone', { userId, number });
  expect(screen.shown()).toMatchObject({ number });
  const removing = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: removing.opened });

  const optimistic = { removeContactPhone: { user: { id: userId, contactPhone: null } } };
  const removed = screen.run('remove-contact-phone', { userId }, optimistic);
  await stage.zitadel.written(2);
  expect(screen.shown()).toBeNull();
  removing.open();
  await removed;

  expect(screen.shown()).toBeNull();
  expect(warnings()).toEqual([]);
});

test('finds the failure in what onCompleted and onError get, and repeats no mutation', async () => {
  await using stage = await openStage({ VERIFY_LIMIT: '5/10m' });
  await using balancer = await openBalancer(stage.graphql);
  await using frontend = await compile();
  const screen = await openScreen(balancer.url, frontend);
  await screen.run('set-contact-phone', { userId, number });
  const verify = (variables: { verificationCode?: string }) =>
    screen.errorOf('verify-contact-phone', { userId, ...variables });

  const wrong = await verify({ verificationCode: 'WRONG1' });
  const refused = await verify({});
  balancer.disturb('lost');
  const lost = await screen.errorOf('resend-contact-phone-code', { userId });

  expect([wrong, refused, lost].map(contactPhoneFailure)).toMatchObject([
    { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE', attemptsLeft: 4 },
    { code: 'BAD_USER_INPUT', reason: 'VARIABLES_INVALID', outcome: 'NOT_DONE' },
    { code: 'UNKNOWN', outcome: 'UNKNOWN' },
  ]);
  expect(stage.zitadel.outbox).toHaveLength(2);
});

test('compiles strings for the scalars', async () => {
  await using frontend = await compile();

  await frontend.printed(/Compilation completed/);
  expect(frontend.exitCode).toBe(0);
  const query = await frontend.read('contact-phone');
  expect(query).toContain('readonly number: string;');
  expect(query).toContain('readonly resendAvailableAt: string | null | undefined;');
  expect(await frontend.read('verify-contact-phone')).toContain('verificationCode: string;');
});

test('needs the schema without federation: its compiler panics on the other', async () => {
  await using frontend = await compile('schema/contact-phone.graphql');

  await frontend.complained(/panicked[^]*SchemaExtension not implemented: extend schema @link/);
  expect(frontend.exitCode).not.toBe(0);
});
