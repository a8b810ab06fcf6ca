/**
 * Replaces a number in the variables that may differ from what the client wrote. It cannot be a user id, since it contains a control
 * character, and it is too long for a verification code.
 */
export const unsafeInteger = '\u0000 an integer that JavaScript cannot hold';

/**
 * Replaces every integer that JavaScript may have rounded. `JSON.parse` turns `301000000000000101` into 301000000000000100, which is
 * another user's id.
 *
 * @param variables as they were parsed; changed in place
 */
export function replaceUnsafeIntegers(variables: Record<string, unknown>): void {
  // No recursion: deeply nested JSON would overflow the stack.
  const left: Record<string, unknown>[] = [variables];
  for (let values = left.pop(); values; values = left.pop()) {
    for (const key in values) {
      const value = values[key];
      if (typeof value === 'object' && value !== null) left.push(value as Record<string, unknown>);
      else if (Number.isInteger(value) && !Number.isSafeInteger(value)) values[key] = unsafeInteger;
    }
  }
}
