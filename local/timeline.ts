/** The demo's timeline on a terminal: one line per fact, with what it means; a progress bar for bytes. */

const useColor = process.stderr.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code: string, text: string): string => (useColor ? `\u001b[${code}m${text}\u001b[0m` : text);
export const dim = (text: string): string => paint("2", text);
export const bold = (text: string): string => paint("1", text);
export const green = (text: string): string => paint("32", text);
export const red = (text: string): string => paint("31", text);

const BAR_CHARACTERS = 26;
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** What is known of a copy: bytes, bytes a second, seconds. */
type Moved = Partial<Record<"bytes" | "totalBytes" | "bytesPerSecond" | "remainingSeconds", number | undefined>>;

export class Timeline {
  readonly #startedAt = Date.now();
  #barShown = false;

  /** What happened, and what it means. Written to stderr: stdout belongs to `--json`. */
  say(what: string, meaning = ""): void {
    this.#clearBar();
    const seconds = ((Date.now() - this.#startedAt) / 1000).toFixed(1).padStart(5);
    process.stderr.write(`${dim(`${seconds}s`)}  ${what.padEnd(34)} ${dim(meaning)}\n`);
  }

  head(text: string): void {
    this.#clearBar();
    process.stderr.write(`\n${bold(text)}\n`);
  }

  plain(text: string): void {
    this.#clearBar();
    process.stderr.write(`${text}\n`);
  }

  /** How far a copy is. It moves on a terminal; elsewhere, and at its end, it is a line like the others. */
  bar({ bytes = 0, totalBytes = 0, bytesPerSecond, remainingSeconds }: Moved): void {
    if (totalBytes === 0) return;
    const isDone = bytes >= totalBytes;
    const filled = Math.round((BAR_CHARACTERS * bytes) / totalBytes);
    const bar = "█".repeat(filled) + "░".repeat(BAR_CHARACTERS - filled);
    const facts = [
      `${megabytes(bytes)} of ${megabytes(totalBytes)} MB`,
      ...(bytesPerSecond === undefined ? [] : [`${megabytes(bytesPerSecond)} MB/s`]),
      ...(remainingSeconds === undefined || isDone ? [] : [`${remainingSeconds} s left`]),
    ].join(", ");
    if (isDone) this.say(`copied ${bar}`, facts);
    else if (process.stderr.isTTY === true) {
      process.stderr.write(`\r\u001b[2K        copying ${bar} ${facts}`);
      this.#barShown = true;
    }
  }

  #clearBar(): void {
    if (this.#barShown) process.stderr.write("\r\u001b[2K");
    this.#barShown = false;
  }
}
