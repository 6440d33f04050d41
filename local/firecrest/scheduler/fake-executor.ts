/**
 * Jobs without a shell, on a virtual clock. A script says what it does in lines that a real shell takes for comments:
 *
 * ```
 * #FAKE sleep 60            goes on for 60 s (adds up)
 * #FAKE print some text     a line to stdout; `$NAME` and `${NAME}` are filled from the job's environment
 * #FAKE warn some text      a line to stderr
 * #FAKE write path text     writes a file (relative to the working directory), with a newline at its end
 * #FAKE bytes path 1000     writes a file of so many bytes
 * #FAKE exit 3              ends with this code
 * #FAKE signal 9            ends by this signal
 * #FAKE node_fail | oom     ends so
 * #FAKE ignore_term         lives on after TERM until KILL
 * ```
 *
 * Lines take effect in their order, at the time the sleeps before them make. A script without any ends at once with 0. A
 * request's `withoutShell` runs at the end of the script in place of its commands; else `shell` does, where the host has one.
 */
import type { JobRequest, Seat } from "../host.ts";
import { ToolError } from "../host.ts";
import { expandPath, type JobRecord, type Machine } from "./records.ts";
import type { Executor, RunEnd } from "./scheduler.ts";

interface Action {
  /** Milliseconds after the start. */
  offset: number;
  verb: string;
  rest: string;
}

interface Run {
  actions: Action[];
  applied: number;
  endsAt: number;
  end: Omit<RunEnd, "at">;
  ignoresTerm: boolean;
  /** Opened with success. */
  hasLogs: boolean;
}

export interface FakeExecutorOptions {
  machine: Machine;
  seatOf(user: string): Promise<Seat>;
  environmentOf(job: JobRecord): Record<string, string>;
  /** Between TERM and KILL. */
  killWaitMs: number;
  /** What commands of a script do that are no `#FAKE` lines, once those are through. Answers the exit code if it knows. */
  shell?(script: string, directory: string, seat: Seat): Promise<number | undefined>;
  /** Told each job's environment when it starts. */
  started(job: JobRecord, environment: Record<string, string>): void;
}

const OUTPUT_NOT_OPENED = 53;

export function fakeExecutor(options: FakeExecutorOptions): Executor {
  const effects = new Map<number, NonNullable<JobRequest["withoutShell"]>>();
  const nodeName = options.machine.nodeName;
  const logs = (job: JobRecord) => {
    const output = expandPath(job.output, job, nodeName);
    return { output, error: job.error === "" ? output : expandPath(job.error, job, nodeName) };
  };

  const append = async (job: JobRecord, path: string, text: string) => {
    const { files } = await options.seatOf(job.user.name);
    await files.write(path, new TextEncoder().encode(text), { append: true });
  };

  const openLogs = async (job: JobRecord) => {
    const { files } = await options.seatOf(job.user.name);
    const { output, error } = logs(job);
    for (const path of new Set([output, error]))
      await files.write(path, new Uint8Array(), { append: job.appendOutput });
  };

  const apply = async (job: JobRecord, { verb, rest }: Action) => {
    const { files } = await options.seatOf(job.user.name);
    const environment = options.environmentOf(job);
    const text = rest.replace(
      /\$(?:\{(\w+)\}|(\w+))/g,
      (_all, braced?: string, plain?: string) => environment[braced ?? plain ?? ""] ?? "",
    );
    const { output, error } = logs(job);
    const [path = "", ...words] = text.split(" ");
    const file = path.startsWith("/") ? path : `${job.workingDirectory}/${path}`;
    if (verb === "print") await append(job, output, `${text}\n`);
    else if (verb === "warn") await append(job, error, `${text}\n`);
    else if (verb === "write") await files.write(file, new TextEncoder().encode(`${words.join(" ")}\n`));
    else if (verb === "bytes") await files.write(file, new Uint8Array(Number(words[0] ?? 0)));
  };

  const runEffect = async (job: JobRecord, run: Run) => {
    const effect = effects.get(job.id);
    if (effect === undefined) {
      const seat = await options.seatOf(job.user.name);
      const exitCode = await options.shell?.(job.scriptText, job.workingDirectory, seat);
      if (exitCode !== undefined) run.end = { exitCode, signal: 0 };
      return;
    }
    effects.delete(job.id);
    const result = await effect(await options.seatOf(job.user.name));
    const { output, error } = logs(job);
    if (result.stdout !== undefined) await append(job, output, result.stdout);
    if (result.stderr !== undefined) await append(job, error, result.stderr);
    run.end = { exitCode: result.exitCode, signal: 0 };
  };

  return {
    async prepare(job, request) {
      if (request.withoutShell !== undefined) effects.set(job.id, request.withoutShell.bind(request));
    },

    async start(job) {
      const run = planOf(job);
      options.started(job, options.environmentOf(job));
      try {
        await openLogs(job);
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        Object.assign(run, {
          hasLogs: false,
          actions: [],
          endsAt: job.startedAt,
          end: { exitCode: 0, signal: OUTPUT_NOT_OPENED },
        });
      }
      return run;
    },

    async ended(job, now) {
      const run = job.run as Run;
      const started = job.startedAt ?? now;
      while (run.hasLogs && run.applied < run.actions.length) {
        const action = run.actions[run.applied];
        if (action === undefined || started + action.offset > Math.min(now, run.endsAt)) break;
        run.applied++;
        try {
          await apply(job, action);
        } catch (error) {
          if (!(error instanceof ToolError)) throw error;
          await append(job, logs(job).error, `${error.stderr}\n`);
        }
      }
      if (now < run.endsAt) return undefined;
      if (run.end.cause === undefined && job.killing === undefined && run.hasLogs) await runEffect(job, run);
      return { at: run.endsAt, ...run.end };
    },

    async kill(job, now) {
      const run = job.run as Run;
      const endsAt = Math.min(run.endsAt, run.ignoresTerm ? now + options.killWaitMs : now);
      return { ...run, endsAt, end: { exitCode: 0, signal: run.ignoresTerm ? 9 : 15 } } satisfies Run;
    },

    nextEventAt(job) {
      const run = job.run as Run;
      const action = run.actions[run.applied];
      return Math.min(
        run.endsAt,
        action === undefined ? Number.POSITIVE_INFINITY : (job.startedAt ?? 0) + action.offset,
      );
    },

    discard: async () => {},
  };
}

function planOf(job: JobRecord): Run {
  const started = job.startedAt ?? 0;
  const run: Run = {
    actions: [],
    applied: 0,
    endsAt: started,
    end: { exitCode: 0, signal: 0 },
    ignoresTerm: false,
    hasLogs: true,
  };
  let offset = 0;
  for (const [, verb = "", rest = ""] of job.scriptText.matchAll(/^#FAKE (\w+)(?: (.*))?$/gm)) {
    if (verb === "sleep") offset += Number(rest) * 1000;
    else if (verb === "ignore_term") run.ignoresTerm = true;
    else if (verb === "exit" || verb === "signal" || verb === "node_fail" || verb === "oom") {
      run.end = endOf(verb, Number(rest));
      break;
    } else run.actions.push({ offset, verb, rest });
  }
  run.endsAt = started + offset;
  const limit = job.timeLimitSeconds;
  if (limit !== undefined && offset > limit * 1000) {
    run.endsAt = started + limit * 1000;
    run.end = { exitCode: 0, signal: 0, cause: "timeout" };
  }
  return run;
}

function endOf(verb: "exit" | "signal" | "node_fail" | "oom", number: number): Omit<RunEnd, "at"> {
  switch (verb) {
    case "exit":
      return { exitCode: number, signal: 0 };
    case "signal":
      return { exitCode: 0, signal: number };
    case "node_fail":
      return { exitCode: 0, signal: 0, cause: "lost" };
    case "oom":
      return { exitCode: 0, signal: 125, cause: "out_of_memory" };
  }
}
