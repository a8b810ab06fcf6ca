import pLimit from 'p-limit';
import { expect, test } from 'vitest';
import { users, type EmbeddedToken } from '../src/embedded-zitadel/population.js';
import { acceptedSockets } from './support/accepted-sockets.js';
import { crowd, moreTokens } from './support/crowd.js';
import { gate } from './support/gate.js';
import { inProgress, limited, openLine } from './support/line.js';
import { bearer, extensionsOf, unverified, type GraphQLAnswer } from './support/stage.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

// Callers who find a limit full only because of a call in flight wait for its outcome.

const maxWaiting = 8;
/** They may read the user, so they get past the look, but ZITADEL refuses their write. */
const readers = (count: number, options = {}) => moreTokens(count, { may: ['user.read'], ...options });
const writers = (count: number, options = {}) => moreTokens(count, { may: ['user.read', 'user.write'], ...options });
/** The user themselves: once with a JWT, which names them, and once with an opaque token. */
const [ownerByJwt] = moreTokens(1, { userId: unverified, isJwt: true }) as [EmbeddedToken];
const [ownerByOpaque] = moreTokens(1, { userId: unverified }) as [EmbeddedToken];

const forbidden = [
  expect.objectContaining({ code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', outcome: 'NOT_DONE' }) as object,
];

type Line = Awaited<ReturnType<typeof openLine>>;

/** Lets these callers join the line one after another. */
async function join(line: Line, callers: readonly EmbeddedToken[], already = 0): Promise<Promise<GraphQLAnswer>[]> {
  const answers: Promise<GraphQLAnswer>[] = [];
  for (const caller of callers) {
    answers.push(line.resendAs(caller));
    await line.waiting(already + answers.length);
  }
  return answers;
}

const allExtensions = async (answers: readonly Promise<GraphQLAnswer>[]) =>
  (await Promise.all(answers)).map(extensionsOf);

const tokensOf = (callers: readonly EmbeddedToken[]) => callers.map(({ token }) => token);

test('eight callers wait for an SMS in flight, and get the exact refusal once it is sent', async () => {
  const [first, ...others] = writers(1 + maxWaiting + 1) as [EmbeddedToken, ...EmbeddedToken[]];
  await using line = await openLine({}, { moreTokens: [first, ...others] });
  const [writing] = line.holdWrites(1);

  const sent = line.resendAs(first);
  await line.zitadel.written(1);
  const waiting = await join(line, others.slice(0, maxWaiting));
  const tooMany = await line.resendAs(others[maxWaiting] as EmbeddedToken);
  expect(extensionsOf(tooMany)).toEqual(inProgress);
  writing?.open();

  expect((await sent).errors).toBeUndefined();
  expect(await allExtensions(waiting)).toEqual(waiting.map(() => limited(30)));
  expect(line.zitadel.writes).toHaveLength(1);
});

test('when ZITADEL refuses the call in flight, the first in line goes next', async () => {
  const callers = readers(4);
  await using line = await openLine({}, { moreTokens: callers });
  const writing = line.holdWrites(4);

  const first = line.resendAs(callers[0] as EmbeddedToken);
  await line.zitadel.written(1);
  const others = await join(line, callers.slice(1));
  for (const [index, answering] of writing.entries()) {
    // Only one call is in flight at a time.
    await line.zitadel.written(index + 1);
    await line.waiting(3 - index);
    expect(line.writers()).toEqual(tokensOf(callers.slice(0, index + 1)));
    answering.open();
  }

  expect(await allExtensions([first, ...others])).toEqual(callers.map(() => forbidden));
  expect(line.zitadel.outbox).toEqual([]);
  expect((await line.resend()).errors).toBeUndefined();
});

test('callers whose write ZITADEL accepted before go first, and those it just refused go last', async () => {
  const [inFlight, refused, unknown] = readers(3) as [EmbeddedToken, EmbeddedToken, EmbeddedToken];
  const [accepted] = writers(1) as [EmbeddedToken];
  await using line = await openLine({}, { moreTokens: [inFlight, refused, unknown, accepted] });
  const race = async () => {
    const [writing] = line.holdWrites(1);
    const before = line.zitadel.writes.length;
    // ZITADEL refuses each of them, so the next one gets their turn.
    line.zitadel.misbehaveWhenWriting(...Array.from({ length: 3 }, () => answered({ code: 8 }, 429)));
    const first = line.resendAs(inFlight);
    await line.zitadel.written(before + 1);
    const others = await join(line, [refused, unknown, accepted]);
    writing?.open();
    await Promise.all([first, ...others]);
    return line.writers().slice(before);
  };

  // All are unknown, so they go in order of arrival.
  expect(await race()).toEqual(tokensOf([inFlight, refused, unknown, accepted]));

  expect((await line.resendAs(accepted)).errors).toBeUndefined();
  line.clock.move(30);
  expect(extensionsOf(await line.resendAs(refused))).toEqual(forbidden);
  expect(await race()).toEqual(tokensOf([inFlight, accepted, unknown, refused]));

  // A refusal counts for a minute, unless another one follows.
  line.clock.move(59.999);
  expect(await race()).toEqual(tokensOf([inFlight, accepted, unknown, refused]));
  line.clock.move(0.001);
  expect(await race()).toEqual(tokensOf([inFlight, accepted, refused, unknown]));

  // A FORBIDDEN ends the better rank.
  line.zitadel.misbehaveWhenWriting(answered({ code: 7 }, 403));
  expect(extensionsOf(await line.resendAs(accepted))).toMatchObject([{ code: 'FORBIDDEN' }]);
  line.clock.move(60);
  expect(await race()).toEqual(tokensOf([inFlight, refused, unknown, accepted]));
});

test('an accepted write counts for that caller and that user only', async () => {
  const [inFlight, unknown] = readers(2) as [EmbeddedToken, EmbeddedToken];
  const [accepted] = writers(1) as [EmbeddedToken];
  const [other] = crowd(2).slice(1);
  await using line = await openLine({}, { moreUsers: crowd(2), moreTokens: [inFlight, unknown, accepted] });
  expect((await line.resendAs(accepted, { userId: other?.userId })).errors).toBeUndefined();
  const [writing] = line.holdWrites(1);

  const first = line.resendAs(inFlight);
  await line.zitadel.written(2);
  const others = await join(line, [unknown, accepted]);
  writing?.open();

  expect(extensionsOf(await first)).toEqual(forbidden);
  await Promise.all(others);
  expect(line.writers().slice(1)).toEqual(tokensOf([inFlight, unknown, accepted]));
});

test('a caller of better rank takes the last place in a full line, and one of equal or worse rank does not', async () => {
  const [inFlight, refused, ...unknown] = readers(2 + maxWaiting + 1) as [
    EmbeddedToken,
    EmbeddedToken,
    ...EmbeddedToken[],
  ];
  await using line = await openLine({}, { moreTokens: [inFlight, refused, ...unknown, ownerByJwt] });
  expect(extensionsOf(await line.resendAs(refused))).toEqual(forbidden);
  const [writing] = line.holdWrites(1);
  const first = line.resendAs(inFlight);
  await line.zitadel.written(2);
  const waiting = await join(line, unknown.slice(0, maxWaiting));

  for (const late of [refused, unknown[maxWaiting] as EmbeddedToken])
    expect(extensionsOf(await line.resendAs(late))).toEqual(inProgress);
  const owner = line.resendAs(ownerByJwt);
  expect(extensionsOf((await waiting.at(-1)) as GraphQLAnswer)).toEqual(inProgress);
  writing?.open();

  expect(extensionsOf(await first)).toEqual(forbidden);
  expect((await owner).errors).toBeUndefined();
  expect(await allExtensions(waiting.slice(0, -1))).toEqual(waiting.slice(1).map(() => limited(30)));
  expect(line.writers()).toEqual(tokensOf([refused, inFlight, ownerByJwt]));
});

test.for([
  ['one token', (token: EmbeddedToken) => Array.from({ length: 20 }, () => bearer(token.token))],
  [
    '200 JWTs of one person',
    (_: EmbeddedToken, ofOne: readonly EmbeddedToken[]) => ofOne.map(({ token }) => bearer(token)),
  ],
  [
    'tokens after nonstandard words',
    (_: EmbeddedToken, ofOne: readonly EmbeddedToken[]) =>
      ofOne
        .slice(0, 20)
        .map(({ token }, index) => ({ authorization: index % 2 ? `${index} Bearer ${token}` : `Bearer  ${token}` })),
  ],
] as const)('a line has one place for %s', async ([, headersOf]) => {
  const [one] = writers(1) as [EmbeddedToken];
  const ofOne = writers(200, { userId: one.userId, isJwt: true });
  const others = writers(maxWaiting);
  await using line = await openLine({}, { moreTokens: [one, ...ofOne, ...others] });
  const [writing] = line.holdWrites(1);
  const [inFlight = {}, ...more] = headersOf(one, ofOne);

  const sent = line.resend({}, inFlight);
  await line.zitadel.written(1);
  const ofCaller = more.map((headers) => line.resend({}, headers));
  let refused = 0;
  const allButOne = gate();
  for (const answer of ofCaller) {
    void answer.then((answer) => {
      expect(extensionsOf(answer)).toEqual(refused < more.length - 1 ? inProgress : limited(30));
      if ((refused += 1) === more.length - 1) allButOne.open();
    });
  }
  await allButOne.opened;
  const waiting = await join(line, others.slice(0, maxWaiting - 1), 1);
  expect(extensionsOf(await line.resendAs(others.at(-1) as EmbeddedToken))).toEqual(inProgress);
  writing?.open();

  expect((await sent).errors).toBeUndefined();
  expect(await allExtensions(waiting)).toEqual(waiting.map(() => limited(30)));
  await Promise.all(ofCaller);
  expect(line.zitadel.writes).toHaveLength(1);
});

test.for([
  ['is passed over', 1],
  ['makes room', maxWaiting],
] as const)('a caller who hangs up leaves the line: %s', async ([, inLine]) => {
  const [inFlight, gone, ...others] = readers(1 + inLine + 1) as [EmbeddedToken, EmbeddedToken, ...EmbeddedToken[]];
  await using line = await openLine({}, { moreTokens: [inFlight, gone, ...others] });
  const sockets = acceptedSockets(line.url);
  const writing = line.holdWrites(2);

  const first = line.resendAs(inFlight);
  await line.zitadel.written(1);
  const hangUp = new AbortController();
  const lost = line.resend({}, bearer(gone.token), hangUp.signal);
  await line.waiting(1);
  // Without another one who would have to find room, if there is room for two.
  const waiting = await join(line, inLine === 1 ? others : others.slice(0, -1), 1);
  hangUp.abort();
  await expect(lost).rejects.toThrow();
  await until(() => Promise.resolve(sockets.some(({ destroyed }) => destroyed)));
  if (inLine > 1) waiting.push(...(await join(line, others.slice(-1), inLine)));
  writing[0]?.open();
  await line.zitadel.written(2);

  expect(line.writers()).toEqual(tokensOf([inFlight, others[0] as EmbeddedToken]));
  writing[1]?.open();
  expect(await allExtensions([first, ...waiting])).toEqual([first, ...waiting].map(() => forbidden));
  expect(line.writers()).toEqual(tokensOf([inFlight, ...others]));
});

test('a caller who has waited for two seconds gets IN_PROGRESS, and makes room', async () => {
  const [inFlight, late, next] = readers(3) as [EmbeddedToken, EmbeddedToken, EmbeddedToken];
  await using line = await openLine({}, { moreTokens: [inFlight, late, next] });
  const [writing] = line.holdWrites(1);

  const first = line.resendAs(inFlight);
  await line.zitadel.written(1);
  const [tooLong] = await join(line, [late]);
  line.timeIsUp();
  expect(extensionsOf((await tooLong) as GraphQLAnswer)).toEqual(inProgress);
  const [waiting] = await join(line, [next]);
  writing?.open();

  expect(await allExtensions([first, waiting as Promise<GraphQLAnswer>])).toEqual([forbidden, forbidden]);
  expect(line.writers()).toEqual(tokensOf([inFlight, next]));
});

test('nobody waits so long that less than half of their time would be left for the write', async () => {
  const [late] = readers(1) as [EmbeddedToken];
  await using line = await openLine({ ZITADEL_TIMEOUT_MS: '300000' }, { moreTokens: [late] }, 1_000);
  const [writing] = line.holdWrites(1);
  const reading = gate();

  const first = line.resend();
  await line.zitadel.written(1);
  line.zitadel.misbehave({ hold: reading.opened });
  const slow = line.resendAs(late);
  await line.zitadel.called(3);
  line.clock.move(149);
  reading.open();
  await line.waiting(1);
  line.timeIsUp();

  expect(extensionsOf(await slow)).toEqual(inProgress);
  writing?.open();
  expect((await first).errors).toBeUndefined();
  expect(line.zitadel.writes).toHaveLength(1);
});

test('nobody waits for a budget, not even after waiting for a user', async () => {
  const [inFlight] = readers(1) as [EmbeddedToken];
  const [ofUser, atNumber] = writers(2) as [EmbeddedToken, EmbeddedToken];
  await using line = await openLine({ SMS_BUDGET: '1/1h' }, { moreTokens: [inFlight, ofUser, atNumber] });
  const set = (userId: string, number: string, { token }: EmbeddedToken) =>
    line.run('set-contact-phone', { userId, number }, bearer(token));
  const [refusing, writing] = line.holdWrites(2);

  const first = line.resendAs(inFlight);
  await line.zitadel.written(1);
  const ofOtherUser = await line.run('set-contact-phone', { userId: users.verified.userId, number: '+41795550102' });
  expect(extensionsOf(ofOtherUser)).toEqual(inProgress);
  const last = set(unverified, '+41795550101', ofUser);
  await line.waiting(1);
  const next = set(users.phoneless.userId, users.unverified.phone.number, atNumber);
  await line.waiting(2);
  refusing?.open();

  expect(extensionsOf(await first)).toEqual(forbidden);
  // The user is free, but the call that waited for the number has taken the only place in the budget.
  expect(extensionsOf(await last)).toEqual(inProgress);
  writing?.open();
  expect((await next).errors).toBeUndefined();
});

test.for([
  ['their JWT names the user', ownerByJwt],
  ['ZITADEL has accepted a write with their opaque token', ownerByOpaque],
] as const)('200 readers delay an owner by no more than the call in flight, if %s', async ([, owner]) => {
  const attackers = readers(200);
  await using line = await openLine({}, { moreTokens: [...attackers, owner] });
  if (owner === ownerByOpaque) {
    expect((await line.resendAs(owner)).errors).toBeUndefined();
    line.clock.move(30);
  }
  const before = line.zitadel.writes.length;
  const [inFlight] = line.holdWrites(1);
  const attack = startLoops(line, attackers);
  await line.zitadel.written(before + 1);
  await attack.answeredOnce(attackers.length - 1 - maxWaiting);

  const own = line.resendAs(owner);
  // The owner has pushed the last one out of the line.
  await attack.answeredOnce(attackers.length - maxWaiting);
  inFlight?.open();

  expect((await own).errors).toBeUndefined();
  await attack.ended;
  expect(line.writers().slice(before + 1)).toEqual([owner.token]);
});

test('200 readers delay an unknown owner by no more than the calls of those in line before them', async () => {
  const attackers = readers(200);
  const inLine = attackers.slice(0, maxWaiting);
  await using line = await openLine({}, { moreTokens: [...attackers, ownerByOpaque] });
  const [inFlight] = line.holdWrites(1);
  const early = [line.resendAs(inLine[0] as EmbeddedToken)];
  await line.zitadel.written(1);
  early.push(...(await join(line, inLine.slice(1))));
  const own = line.resendAs(ownerByOpaque);
  await line.waiting(maxWaiting);
  const attack = startLoops(line, attackers.slice(maxWaiting));
  await attack.answeredOnce(attackers.length - maxWaiting);
  inFlight?.open();

  expect((await own).errors).toBeUndefined();
  expect(await allExtensions(early)).toEqual(early.map(() => forbidden));
  await attack.ended;
  expect(line.writers()).toEqual(tokensOf([...inLine, ownerByOpaque]));
});

/** Lets each caller resend again and again, 50 of them at once, until an SMS is sent. */
function startLoops(line: Line, callers: readonly EmbeddedToken[]) {
  // First come, first served, so everyone gets a turn.
  const inTurn = pLimit(50);
  let answeredOnce = 0;
  const loop = async (caller: EmbeddedToken) => {
    for (let times = 1; ; times += 1) {
      const [extensions] = extensionsOf(await inTurn(() => line.resendAs(caller))) ?? [];
      if (times === 1) answeredOnce += 1;
      if (extensions?.reason === 'SMS_TO_USER') return;
      expect(extensions?.reason).toMatch(/^(IN_PROGRESS|PERMISSION_MISSING)$/);
    }
  };
  return {
    /** Resolves when this many callers have had an answer. */
    answeredOnce: (count: number) => until(() => Promise.resolve(answeredOnce >= count)),
    ended: Promise.all(callers.map(loop)),
  };
}

test('accounts that have a number too can delay its first user by no more than the call in flight: ZITADEL refuses to set it again', async () => {
  const { phone } = users.unverified;
  const accounts = crowd(1 + maxWaiting).map((account) => ({ ...account, phone }));
  const [first] = accounts as [(typeof accounts)[0]];
  const ofFirst = moreTokens(1 + maxWaiting, { userId: first.userId });
  const ofOthers = accounts.slice(1).flatMap(({ userId }) => moreTokens(1, { userId, isJwt: true }));
  const all = [...ofFirst, ...ofOthers, ownerByOpaque];
  await using line = await openLine({}, { moreUsers: accounts, moreTokens: all });
  const setAgain = ({ userId, token }: EmbeddedToken) =>
    line.run('set-contact-phone', { userId, number: phone.number }, bearer(token));
  expect((await line.resendAs(ownerByOpaque)).errors).toBeUndefined();
  line.clock.move(30);
  const [refusing] = line.holdWrites(1);

  const attack = ofFirst.map(setAgain);
  await line.zitadel.written(2);
  await line.waiting(maxWaiting);
  // Only the first user waits for the number.
  for (const other of ofOthers) expect(extensionsOf(await setAgain(other))).toEqual(inProgress);
  const own = line.resendAs(ownerByOpaque);
  await line.waiting(maxWaiting + 1);
  refusing?.open();

  expect((await own).errors).toBeUndefined();
  const answers = (await Promise.all(attack)).flatMap((answer) => extensionsOf(answer) ?? []);
  expect(answers.map(({ reason }) => reason).sort()).toEqual([
    ...Array<string>(maxWaiting).fill('IN_PROGRESS'),
    'SAME_NUMBER',
  ]);
  expect(line.writers().slice(2)).toEqual([ownerByOpaque.token]);
});

test('those behind a caller whose time is up keep their places', async () => {
  const callers = readers(4);
  const [inFlight, late, ...others] = callers as [EmbeddedToken, EmbeddedToken, ...EmbeddedToken[]];
  await using line = await openLine({}, { moreTokens: callers });
  const [writing] = line.holdWrites(1);

  const first = line.resendAs(inFlight);
  await line.zitadel.written(1);
  const [tooLong, ...waiting] = await join(line, [late, ...others]);
  line.timeIsUp(1);
  expect(extensionsOf((await tooLong) as GraphQLAnswer)).toEqual(inProgress);
  writing?.open();

  expect(await allExtensions([first, ...waiting])).toEqual([forbidden, forbidden, forbidden]);
  expect(line.writers()).toEqual(tokensOf([inFlight, ...others]));
});
