/**
 * Stands in the variables for a number that is not the one the client wrote. No user id can be this, as it has a control character, and
 * it is too long for a verification code.
 */
export const unsafeInteger = '\u0000 an integer that JavaScript cannot hold';

/**
 * Replaces every integer that JavaScript has rounded, or may have. JSON has `301000000000000101`, and `JSON.parse` gives
 * 301000000000000100, which is another user's id.
 *
 * @param variables as they were parsed; changed in place
 */
export function replaceUnsafeIntegers(variables: Record<string, unknown>): void {
  // No recursion: JSON can be nested deeper than the stack.
  const left: Record<string, unknown>[] = [variables];
  for (let values = left.pop(); values; values = left.pop()) {
    for (const key in values) {
      const value = values[key];
      if (typeof value === 'object' && value !== null) left.push(value as Record<string, unknown>);
      else if (Number.isInteger(value) && !Number.isSafeInteger(value)) values[key] = unsafeInteger;
    }
  }
}
