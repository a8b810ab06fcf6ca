import type { Writable } from 'node:stream';

/** About 3,000 request lines. */
const maxWaitingCharacters = 1024 * 1024;
/** How long writing the last lines may take before the process exits. */
const flushMs = 1_000;

/**
 * Standard output that never blocks the service, as a pipe that nobody reads would. Lines beyond a bound are dropped until all waiting
 * lines have been read; then the number of dropped lines is reported.
 */
export class StandardOutput {
  private dropped = 0;
  private isDropping = false;

  /**
   * @param stream `process.stdout`, whose writes to a pipe are asynchronous (not on Windows, nor to a terminal or a file)
   * @param onDropped called with the number of dropped lines once everything waiting has been read
   */
  constructor(
    private readonly stream: Writable,
    private readonly onDropped: (lines: number) => void,
  ) {
    // A closed pipe (EPIPE) or a full disk must not end the process.
    stream.on('error', () => this.report());
    stream.on('drain', () => this.report());
  }

  readonly write = (line: string): void => {
    this.isDropping ||= this.stream.writableLength >= maxWaitingCharacters;
    if (this.isDropping) this.dropped += 1;
    else this.stream.write(line);
  };

  /** Waits until everything is written, for one second at most. */
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
