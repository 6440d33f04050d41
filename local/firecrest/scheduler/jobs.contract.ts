/** What the scheduler of every host must do. Scripts say everything twice: in shell, and in `#FAKE` lines. */
import { describe, expect, it } from "vitest";
import { complaint, readText, type Subject, withHost } from "../host.subject.ts";
import type { JobRequest, JobRow, Seat } from "../host.ts";

export function jobsContract(name: string, start: () => Promise<Subject>): void {
  const within = withHost(start);
  describe(`jobs of the ${name}`, () => {
    const script = (...lines: string[]) => ["#!/bin/bash", ...lines, ""].join("\n");

    /** Accounting may be late, and may have nothing but an `allocation` at first. */
    const rowOf = async ({ until }: Subject, seat: Seat, id: string): Promise<JobRow> => {
      let row: JobRow | undefined;
      await until(async () => {
        [row] = await seat.jobs.accounting({ ids: [id] });
        return row !== undefined && row.name !== "allocation";
      });
      if (row === undefined) throw new Error(`no row for ${id}`);
      return row;
    };

    const shown = async (seat: Seat, id: string): Promise<JobRow> => {
      const [row] = await seat.jobs.show(id);
      if (row === undefined) throw new Error(`nothing to show of ${id}`);
      return row;
    };

    const submit = async (subject: Subject, seat: Seat, source: string, request: Partial<JobRequest> = {}) =>
      (await seat.jobs.submit({ workingDirectory: subject.directory, ...request, script: source })).jobId;

    const reach = async (subject: Subject, seat: Seat, id: string, ...states: string[]) => {
      await subject.until(async () => states.includes((await rowOf(subject, seat, id)).state));
      return await rowOf(subject, seat, id);
    };

    /** The controller knows at once. */
    const reachRunning = ({ until }: Subject, seat: Seat, id: string) =>
      until(async () => (await shown(seat, id)).state === "RUNNING");

    it(
      "run and write their output",
      within(async (subject, seat) => {
        const source = script(
          "#SBATCH --job-name=greet --output=%x-%j.out",
          "#FAKE print hello from $SLURM_JOB_ID",
          "echo hello from $SLURM_JOB_ID",
        );
        const id = await submit(subject, seat, source, { export: "ALL,A=1" });
        const row = await reach(subject, seat, id, "COMPLETED");
        expect(row).toMatchObject({
          jobId: id,
          name: "greet",
          exitCode: 0,
          signal: 0,
        });
        expect(row.endedAt).toBeGreaterThanOrEqual(row.startedAt ?? 0);
        const { standardOutput } = await shown(seat, id);
        expect(standardOutput).toBe(`${subject.directory}/greet-${id}.out`);
        expect(await readText(seat, standardOutput)).toBe(`hello from ${id}\n`);
        await subject.until(async () => (await seat.jobs.queue()).length === 0);
      }),
    );

    it(
      "honour only directives of the header, the last one, and the command line over them",
      within(async (subject, seat) => {
        const source = script(
          "#SBATCH -J first",
          "",
          "# a comment",
          "#SBATCH --job-name=second --time=7",
          " #SBATCH -J indented",
          "true",
          "#SBATCH -J late",
        );
        const byScript = await rowOf(subject, seat, await submit(subject, seat, source));
        expect(byScript).toMatchObject({ name: "second", timeLimitSeconds: 420 });
        const byOption = await rowOf(subject, seat, await submit(subject, seat, source, { name: "option" }));
        expect(byOption.name).toBe("option");
      }),
    );

    it(
      "tell how they failed",
      within(async (subject, seat) => {
        const failing = await submit(subject, seat, script("#FAKE warn bad", "#FAKE exit 3", "echo bad >&2; exit 3"));
        expect(await reach(subject, seat, failing, "FAILED")).toMatchObject({ exitCode: 3, signal: 0 });
        expect(await readText(seat, (await shown(seat, failing)).standardError)).toBe("bad\n");
        const killed = await submit(subject, seat, script("#FAKE signal 9", "kill -KILL $$"));
        expect(await reach(subject, seat, killed, "FAILED")).toMatchObject({ exitCode: 0, signal: 9 });
        const mute = await submit(subject, seat, script("true"), { output: "/nonexistent/folder/out" });
        expect(await reach(subject, seat, mute, "FAILED")).toMatchObject({ exitCode: 0, signal: 53 });
      }),
    );

    it(
      "are ended by their time limit",
      within(async (subject, seat) => {
        const { text, seconds } = subject.shortLimit;
        const id = await submit(subject, seat, script(`#SBATCH --time=${text}`, "#FAKE sleep 600", "sleep 600"));
        await reachRunning(subject, seat, id);
        expect(await reach(subject, seat, id, "TIMEOUT")).toMatchObject({
          exitCode: 0,
          signal: 0,
          timeLimitSeconds: seconds,
        });
      }),
    );

    it(
      "are cancelled while they wait and while they run, by their owner only",
      within(async (subject, seat) => {
        const running = await submit(subject, seat, script("#FAKE sleep 600", "sleep 600"));
        const held = await submit(subject, seat, script("true"), { hold: true });
        await reachRunning(subject, seat, running);
        const stranger = await subject.host.as(subject.other);
        expect(await complaint(stranger.jobs.cancel(running))).toContain("Access/permission denied");
        expect(await seat.jobs.cancel(running)).toBe(`scancel: Terminating job ${running}`);
        await seat.jobs.cancel(held);
        expect(await reach(subject, seat, running, "CANCELLED")).toMatchObject({ cancelledBy: seat.identity.user.id });
        await reach(subject, seat, held, "CANCELLED");
        expect(await complaint(seat.jobs.cancel(running))).toContain("already completing or completed");
        expect(await complaint(seat.jobs.cancel("60000711"))).toContain("Invalid job id specified");
      }),
    );

    it(
      "wait when they are held, when others come first, and for what they depend on",
      within(async (subject, seat) => {
        const [node] = await subject.host.nodes();
        const first = await submit(
          subject,
          seat,
          script(`#SBATCH -c ${node?.cpus}`, "#FAKE sleep 2", "#FAKE exit 1", `sleep ${subject.beatSeconds}; exit 1`),
        );
        await reachRunning(subject, seat, first);
        const second = await submit(subject, seat, script("true"));
        const third = await submit(subject, seat, script("true"));
        const held = await submit(subject, seat, script("#SBATCH --hold", "true"));
        const hopeless = await submit(subject, seat, script("true"), { dependency: `afterok:${first}` });
        const patient = await submit(subject, seat, script("true"), { dependency: `afterany:${first}` });
        const reasonOf = async (id: string) => (await seat.jobs.show(id))[0]?.reason;
        await subject.until(async () => (await reasonOf(second)) === "Resources");
        await subject.until(async () => (await reasonOf(third)) === "Priority");
        expect(await reasonOf(held)).toBe("JobHeldUser");
        expect(await reasonOf(hopeless)).toBe("Dependency");
        await reach(subject, seat, patient, "COMPLETED");
        await reach(subject, seat, third, "COMPLETED");
        await subject.until(async () => (await reasonOf(hopeless)) === "DependencyNeverSatisfied");
        await seat.jobs.release(held);
        await reach(subject, seat, held, "COMPLETED");
      }),
    );

    it(
      "come as arrays, with one row for the elements that wait",
      within(async (subject, seat) => {
        const source = script(
          "#SBATCH --array=1-3%1",
          "#FAKE sleep 1",
          "#FAKE print $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID",
          `echo $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID; sleep ${subject.beatSeconds}`,
        );
        const base = await submit(subject, seat, source);
        await subject.until(async () => (await seat.jobs.queue()).some(({ state }) => state === "RUNNING"));
        expect((await seat.jobs.queue()).map(({ jobId }) => jobId)).toEqual([`${base}_[2-3%1]`, `${base}_1`]);
        await subject.until(async () => (await seat.jobs.queue()).length === 0);
        const completed = [1, 2, 3].map((index) => `${base}_${index} COMPLETED`);
        await subject.until(async () => {
          const rows = await seat.jobs.accounting({ ids: [base] });
          const states = rows.map(({ jobId, state }) => `${jobId} ${state}`).sort();
          return states.join() === completed.join();
        });
        for (const index of [1, 2, 3]) {
          expect(await readText(seat, `${subject.directory}/slurm-${base}_${index}.out`)).toBe(`${base} ${index}\n`);
        }
      }),
    );

    it(
      "come back when they are requeued",
      within(async (subject, seat) => {
        const id = await submit(
          subject,
          seat,
          script("#FAKE sleep 600", "case $SLURM_RESTART_COUNT in ''|0) sleep 600 ;; esac"),
        );
        await reachRunning(subject, seat, id);
        await seat.jobs.requeue(id);
        await subject.until(async () => (await shown(seat, id)).restarts === 1);
        await reach(subject, seat, id, "RUNNING", "COMPLETED");
      }),
    );

    it(
      "are refused in sbatch's words",
      within(async (subject, seat) => {
        const refused = (source: string, request: Partial<JobRequest> = {}) =>
          complaint(submit(subject, seat, source, request));
        expect(await refused("echo hi\n")).toContain("This does not look like a batch script");
        expect(await refused("")).toBe("sbatch: error: Batch script is empty!");
        expect(await refused("#!/bin/bash\r\ntrue\r\n")).toContain("DOS line breaks");
        expect(await refused(script("#SBATCH --time=abc", "true"))).toBe("sbatch: error: Invalid --time specification");
        expect(await refused(script("#SBATCH --no-such-option=1", "true"))).toBe(
          "sbatch: unrecognized option '--no-such-option=1'\nTry \"sbatch --help\" for more information",
        );
        expect(await refused(script("true"), { partition: "nosuch" })).toBe(
          "sbatch: error: invalid partition specified: nosuch\nsbatch: error: Batch job submission failed: Invalid partition name specified",
        );
        expect(await refused(script("#SBATCH --array=1-5000", "true"))).toContain("Invalid job array specification");
        expect(await complaint(seat.jobs.submit({ script: { path: `${subject.directory}/zzz.sh` } }))).toBe(
          `sbatch: error: Unable to open file ${subject.directory}/zzz.sh`,
        );
      }),
    );

    it(
      "get only the environment that they are given",
      within(async (subject, seat) => {
        const source = script("#FAKE print A=$A B=$B", 'echo "A=$A B=$B"');
        const id = await submit(subject, seat, source, { export: "ALL,A=x y,B=1,2" });
        await reach(subject, seat, id, "COMPLETED");
        expect(await readText(seat, (await shown(seat, id)).standardOutput)).toBe("A=x y B=1\n");
      }),
    );

    it(
      "are not found under an id that nobody was given",
      within(async (_subject, seat) => {
        expect(await complaint(seat.jobs.queue({ ids: ["60000999"] }))).toBe(
          "slurm_load_jobs error: Invalid job id specified",
        );
        expect(await seat.jobs.queue({ ids: ["60000998", "60000999"] })).toEqual([]);
        expect(await seat.jobs.accounting({ ids: ["60000999"] })).toEqual([]);
        expect(await complaint(seat.jobs.accounting({ ids: ["abc"] }))).toBe(
          "sacct: fatal: Bad job/step specified: abc",
        );
      }),
    );
  });
}
