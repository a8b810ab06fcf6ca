import type { Writable } from 'node:stream';

/** Some 3,000 lines of requests. */
const maxWaitingCharacters = 1024 * 1024;
/** How long the last lines may take, when the process is about to exit. */
const flushMs = 1_000;

/**
 * Standard output, for lines that are worth less than the service. It never blocks, as a pipe that nobody reads would: what exceeds a
 * bound is dropped until all that waits has been read, and the number of dropped lines is reported then.
 */
export class StandardOutput {
  private dropped = 0;
  private isDropping = false;

  /**
   * @param stream `process.stdout`, whose writes to a pipe are asynchronous (not on Windows, nor to a terminal or a file)
   * @param onDropped called when there is room again
   */
  constructor(
    private readonly stream: Writable,
    private readonly onDropped: (lines: number) => void,
  ) {
    // Neither a reader that has gone (EPIPE) nor a full disk is a reason to end.
    stream.on('error', () => this.report());
    stream.on('drain', () => this.report());
  }

  readonly write = (line: string): void => {
    this.isDropping ||= this.stream.writableLength >= maxWaitingCharacters;
    if (this.isDropping) this.dropped += 1;
    else this.stream.write(line);
  };

  /** Waits until everything is written, but not for long. */
  async flush(): Promise<void> {
    if (this.stream.writableLength === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, flushMs)));
    const written = new Promise<void>((resolve) => this.stream.write('', () => resolve()));
    await Promise.race([written, late]);
    clearTimeout(timer);
  }

  private report(): void {
    const { dropped } = this;
    this.isDropping = false;
    this.dropped = 0;
    if (dropped > 0) this.onDropped(dropped);
  }
}
