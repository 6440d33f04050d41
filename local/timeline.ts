/** The demo's timeline on a terminal: one line per fact, with what it means; a progress bar for bytes. */

const useColor = process.stderr.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code: string, text: string): string => (useColor ? `\u001b[${code}m${text}\u001b[0m` : text);
export const dim = (text: string): string => paint("2", text);
export const bold = (text: string): string => paint("1", text);
export const green = (text: string): string => paint("32", text);
export const red = (text: string): string => paint("31", text);

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

  bar(bytes: number, total: number): void {
    if (process.stderr.isTTY !== true || total === 0) return;
    const width = 30;
    const filled = Math.round((width * bytes) / total);
    process.stderr.write(
      `\r       ${"█".repeat(filled)}${"░".repeat(width - filled)} ${(bytes / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`,
    );
    this.#barShown = true;
  }

  #clearBar(): void {
    if (this.#barShown) process.stderr.write("\r\u001b[2K");
    this.#barShown = false;
  }
}
