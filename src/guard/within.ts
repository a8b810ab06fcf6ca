const stepMs = 10;

/**
 * The answer, if it comes in time. Waits in steps, and looks between them what has come in: as long as this process is busy itself,
 * nobody else is slow.
 */
export async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  let waitedMs = 0;
  const late = new Promise<never>((_, reject) => {
    const wait = () => {
      if (waitedMs >= ms) reject(new Error(`There was no answer within ${ms} ms.`));
      else timer = setTimeout(wait, stepMs);
      waitedMs += stepMs;
    };
    wait();
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
