const stepMs = 10;

/**
 * Rejects if the answer does not come in time. Waits in steps and processes input between them, so that a delay of this process is not
 * mistaken for a slow answer.
 */
export async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  let waitedMs = 0;
  const late = new Promise<never>((_, reject) => {
    const wait = () => {
      if (waitedMs >= ms) reject(new Error(`No answer within ${ms} ms.`));
      else timer = setTimeout(wait, stepMs);
      waitedMs += stepMs;
    };
    wait();
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
