import { expect, test } from 'vitest';
import { BodyMemory, maxBodyMemory, type Loan } from '../src/http/body-memory.js';

/** Loans by name, and which of them were granted. */
function openMemory() {
  const memory = new BodyMemory();
  const loans = new Map<string, Loan>();
  const granted: string[] = [];
  const loan = (name: string) => loans.get(name) ?? expect.fail(`${name} has not borrowed anything`);
  return {
    granted,
    borrow: (name: string, bytes: number) =>
      loans.set(
        name,
        memory.borrow(bytes, () => granted.push(name)),
      ),
    shrink: (name: string, bytes: number) => memory.shrink(loan(name), bytes),
    giveBack: (name: string) => memory.giveBack(loan(name)),
  };
}

test('lends memory first come, first served', () => {
  const { borrow, giveBack, granted } = openMemory();

  borrow('half', maxBodyMemory / 2);
  borrow('quarter', maxBodyMemory / 4);
  borrow('another half', maxBodyMemory / 2);
  // There is enough memory for this one, but an earlier one is still waiting.
  borrow('small', 1);
  expect(granted).toEqual(['half', 'quarter']);

  giveBack('quarter');
  expect(granted).toEqual(['half', 'quarter', 'another half']);
  giveBack('half');
  expect(granted).toEqual(['half', 'quarter', 'another half', 'small']);
});

test('forgets a request that ends while waiting', () => {
  const { borrow, giveBack, granted } = openMemory();
  borrow('all', maxBodyMemory);
  borrow('gone', maxBodyMemory);
  borrow('waiting', maxBodyMemory);

  giveBack('gone');
  giveBack('gone');
  expect(granted).toEqual(['all']);
  giveBack('all');
  expect(granted).toEqual(['all', 'waiting']);
});

test('lends the rest once a body turns out to be smaller', () => {
  const { borrow, shrink, giveBack, granted } = openMemory();
  borrow('unknown', maxBodyMemory);
  borrow('all but ten', maxBodyMemory - 10);

  shrink('unknown', 10);
  shrink('unknown', 20);
  expect(granted).toEqual(['unknown', 'all but ten']);
  borrow('ten', 10);
  expect(granted).not.toContain('ten');
  giveBack('unknown');
  expect(granted).toContain('ten');
});

test('lends everything to a body that may be even larger', () => {
  const { borrow, giveBack, granted } = openMemory();
  borrow('small', 1);
  borrow('huge', 2 * maxBodyMemory);
  expect(granted).toEqual(['small']);

  giveBack('small');
  expect(granted).toEqual(['small', 'huge']);
});
