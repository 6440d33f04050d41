/** What the contract suites of hosts work on. */
import { type Host, type Seat, ToolError } from "./host.ts";

export interface Subject {
  host: Host;
  /** A user of the host, and another one. */
  user: string;
  other: string;
  /** An empty directory of the user. */
  directory: string;
  /** A directory that the user may not enter, and a path outside of everything. */
  forbidden: string;
  /** Lets time go by until the condition holds; fails after a while. */
  until(condition: () => Promise<boolean>): Promise<void>;
  /** The shortest time limit, as `--time` takes it and in seconds. */
  shortLimit: { text: string; seconds: number };
  /** How many seconds a job must run for all to be seen that happens beside it. */
  beatSeconds: number;
  stop(): Promise<void>;
}

/** The stderr of a command that must fail. */
export async function complaint(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ToolError)) throw error ?? new Error("it did not fail");
  return error.stderr;
}

export const text = (content: string) => new TextEncoder().encode(content);
export const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

export async function readText(seat: Seat, path: string): Promise<string> {
  return await new Response((await seat.files.read(path)).body).text();
}

/** A test with a host of its own. */
export function withHost(start: () => Promise<Subject>) {
  return (work: (subject: Subject, seat: Seat) => Promise<void>) => async () => {
    const subject = await start();
    try {
      await work(subject, await subject.host.as(subject.user));
    } finally {
      await subject.stop();
    }
  };
}
