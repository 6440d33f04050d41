/**
 * What every FirecREST client must do, told once and run on every API and every host: v1 and v2 × memory, processes and a
 * real Slurm. Scripts are written twice in one text: commands for hosts with a shell, `#FAKE` lines for the one without.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Api, Handle, HandleState, JobObservation, TrackedJob, UploadForm } from "../../shared/firecrest/port.ts";
import { composeScript } from "../../shared/firecrest/script.ts";
import type { Bench, HostKind, Place } from "./bench.ts";
import { failure, READINGS } from "./readings.ts";

const SYSTEM = "cluster";
const TAG = "0123456789abc";
const DAY_MS = 86_400_000;

/** Whether a release makes a staged link die. */
const RELEASES: Record<Api, boolean> = { v1: true, v2: false };

export function firecrestContract(api: Api, host: HostKind): void {
  const title = `the ${api} client on the ${host.name} host`;
  describe(title, { timeout: host.patienceMs }, () => {
    let place: Place;
    let bench: Bench;
    let client: Bench["client"];
    let home: string;
    beforeAll(async () => {
      place = await host.start(api);
    }, host.patienceMs);
    beforeEach(async () => {
      bench = await place.bench();
      ({ client, home } = bench);
    });
    afterAll(() => place?.stop(), host.patienceMs);

    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const write = (name: string, content: string | Uint8Array<ArrayBuffer>) =>
      client.files.upload(
        SYSTEM,
        home,
        name,
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );

    const submission = (lines: string[], name = "sim", tag = TAG) => {
      const composed = composeScript({ api, script: `#!/bin/bash\n${lines.join("\n")}\n`, name, tag });
      if (!composed.ok || composed.script === undefined || composed.jobName === undefined)
        throw new Error("not composed");
      return { system: SYSTEM, script: composed.script, name: composed.jobName, workingDirectory: home };
    };
    /** Submits, and waits where the site takes its time. */
    async function submit(lines: string[], name?: string, tag?: string): Promise<string> {
      const result = await client.submit(submission(lines, name, tag));
      if (result.outcome === "submitted") return result.schedulerId;
      const state = await settle(result.handle);
      if (state.state !== "done" || state.schedulerId === undefined) throw new Error(JSON.stringify(state));
      return state.schedulerId;
    }
    const sleeps = (seconds: number) => [`#FAKE sleep ${seconds}`, `sleep ${seconds}`];
    const tracked = (schedulerId: string, more: Partial<TrackedJob> = {}): TrackedJob => ({
      schedulerId,
      acceptedAt: bench.now() - 1_000,
      submittedAt: bench.now(),
      status: "queued",
      confirm: true,
      ...more,
    });
    /** Looks until the job is shown in this state, and not as a row that knows nothing yet. */
    const reach = (id: string, state: JobObservation["state"], more: Partial<TrackedJob> = {}) =>
      bench.until(async () => {
        const seen = (await client.round(SYSTEM, [tracked(id, more)])).seen.get(id);
        return seen?.state === state && !seen.skeleton ? seen : undefined;
      }, `job ${id} ${state}`);
    const settle = (handle: Handle): Promise<HandleState> =>
      bench.until(async () => {
        const [state] = await client.observe([handle]);
        return state?.state === "working" ? undefined : state;
      }, `the end of a ${handle.kind}`);

    describe("reads", () => {
      for (const reading of READINGS)
        it(reading.title, async () => {
          await write("small.txt", "one\ntwo\nthree\n");
          expect(await reading.read(client, SYSTEM, home)).not.toContain("no small file");
        });

      it("the file systems that its files are on, and how long links live", async () => {
        const [system] = await client.systems();
        expect(system?.fileSystems.some(({ path }) => home.startsWith(`${path}/`))).toBe(true);
        expect((await client.parameters()).stagingTtlSeconds).toBe(604_800);
        expect(await client.whoami(SYSTEM)).toBe(bench.user);
      });
    });

    describe("works with files", () => {
      it("from writing to removing them, byte for byte", async () => {
        const { files } = client;
        const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
        await files.mkdir(SYSTEM, `${home}/a/b`, { parents: true });
        await files.upload(SYSTEM, `${home}/a/b`, "x.bin", bytes);
        expect(await files.stat(SYSTEM, `${home}/a/b/x.bin`)).toMatchObject({ size: 70_000, isDirectory: false });
        expect(await files.download(SYSTEM, `${home}/a/b/x.bin`)).toEqual(bytes);
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        expect(await files.checksum(SYSTEM, `${home}/a/b/x.bin`)).toBe(Buffer.from(digest).toString("hex"));
        expect((await files.ls(SYSTEM, `${home}/a/b`)).map((e) => [e.name, e.size])).toEqual([["x.bin", 70_000]]);
        await files.symlink(SYSTEM, `${home}/a/b/x.bin`, `${home}/link`);
        expect((await files.stat(SYSTEM, `${home}/link`, { dereference: true })).size).toBe(70_000);
        await files.chmod(SYSTEM, `${home}/a/b/x.bin`, "600");
        expect((await files.stat(SYSTEM, `${home}/a/b/x.bin`)).mode & 0o777).toBe(0o600);
        await files.remove(SYSTEM, `${home}/a`);
        expect(await failure(files.stat(SYSTEM, `${home}/a`))).toMatchObject({ code: "not_found", retry: "never" });
      });

      it("as text: from the front, from the end, and whole", async () => {
        await write("t.txt", Array.from({ length: 30 }, (_, i) => `line ${i + 1}\n`).join(""));
        const { files } = client;
        expect(await files.head(SYSTEM, `${home}/t.txt`, { lines: 2 })).toBe("line 1\nline 2\n");
        expect(await files.tail(SYSTEM, `${home}/t.txt`, { lines: 1 })).toBe("line 30\n");
        expect(await files.head(SYSTEM, `${home}/t.txt`, { bytes: 4 })).toBe("line");
        expect((await files.view(SYSTEM, `${home}/t.txt`)).split("\n")).toHaveLength(31);
      });

      it("with names that are not plain", async () => {
        await write("with space.txt", "x");
        await write("café.txt", "y");
        const names = (await client.files.ls(SYSTEM, home)).map((e) => e.name);
        expect(names).toEqual(expect.arrayContaining(["with space.txt", "café.txt"]));
        expect(text(await client.files.download(SYSTEM, `${home}/with space.txt`))).toBe("x");
      });

      it("and tells what is wrong with a request in its own words", async () => {
        const { files } = client;
        await files.mkdir(SYSTEM, `${home}/d`);
        expect(await failure(files.mkdir(SYSTEM, `${home}/d`))).toMatchObject({ code: "already_exists" });
        await files.chmod(SYSTEM, `${home}/d`, "000");
        expect(await failure(files.ls(SYSTEM, `${home}/d`))).toMatchObject({
          code: "permission_denied",
          retry: "never",
        });
        await files.chmod(SYSTEM, `${home}/d`, "700");
        expect(await failure(files.download(SYSTEM, `${home}/none`))).toMatchObject({ code: "not_found" });
        expect(await failure(files.stat(SYSTEM, `${home}/it's`))).toMatchObject({ code: "invalid_path" });
      });

      it("packed and unpacked, with everything that was in them", async () => {
        const { files } = client;
        await files.mkdir(SYSTEM, `${home}/pack/inner`, { parents: true });
        await files.upload(SYSTEM, `${home}/pack/inner`, "a.txt", new TextEncoder().encode("packed"));
        await files.compress(SYSTEM, `${home}/pack`, `${home}/pack.tar.gz`);
        await files.mkdir(SYSTEM, `${home}/out`);
        await files.extract(SYSTEM, `${home}/pack.tar.gz`, `${home}/out`);
        expect(text(await files.download(SYSTEM, `${home}/out/pack/inner/a.txt`))).toBe("packed");
      });

      it("as jobs or at once, whichever the API has, for moves and copies", async () => {
        await write("from.txt", "content");
        for (const [op, to] of [
          ["copy", "copied.txt"],
          ["move", "moved.txt"],
        ] as const) {
          const result = await client.files[op](SYSTEM, `${home}/from.txt`, `${home}/${to}`);
          if (!result.done) expect(await settle(result.handle)).toMatchObject({ state: "done" });
          expect(text(await client.files.download(SYSTEM, `${home}/${to}`))).toBe("content");
        }
        expect(await failure(client.files.stat(SYSTEM, `${home}/from.txt`))).toMatchObject({ code: "not_found" });
      });
    });

    describe("runs jobs", () => {
      it("from the submission to a successful end", async () => {
        const id = await submit([...sleeps(host.beatSeconds), "#FAKE print hello", "echo hello"]);
        expect(await reach(id, "running")).toMatchObject({ name: `sim.fw-${TAG}` });
        const { stdoutPath } = await client.outputPaths(SYSTEM, id);
        expect(stdoutPath).toMatch(/^\//);
        expect(await reach(id, "succeeded", { status: "running" })).toMatchObject({ exitCode: 0 });
        expect(await client.files.view(SYSTEM, stdoutPath ?? "")).toBe("hello\n");
      });

      it("to a failure with its exit code, a time limit, or a cancellation", async () => {
        const failing = await submit(["#FAKE exit 3", "exit 3"], "a");
        const long = await submit([`#SBATCH --time=${host.shortLimit}`, ...sleeps(3600)], "b");
        const cancelled = await submit(sleeps(3600), "c");
        await reach(cancelled, "running");
        expect(await client.cancel(SYSTEM, cancelled)).toBe("requested");
        expect(await reach(cancelled, "cancelled", { status: "running" })).toMatchObject({
          schedulerState: "CANCELLED",
        });
        expect(await client.cancel(SYSTEM, cancelled)).toBe("over");
        expect(await reach(failing, "failed")).toMatchObject({ reason: "exit_code", exitCode: 3 });
        expect(await reach(long, "failed", { status: "running" })).toMatchObject({ reason: "timeout" });
      });

      it("and says for certain when the scheduler refuses one", async () => {
        expect(await failure(client.submit(submission(["#SBATCH --partition=nosuch", "true"])))).toMatchObject({
          code: "scheduler_refused",
          retry: "never",
        });
      });

      it("as arrays, which are one observation", async () => {
        const id = await submit(["#SBATCH --array=1-3", "#FAKE sleep 1", "sleep 1"]);
        expect(await reach(id, "succeeded", { arraySize: 3, status: "running" })).toMatchObject({
          schedulerId: id,
          array: { total: 3, succeeded: 3, failed: 0 },
        });
      });

      it("many at once, in at most six requests, and one unknown id harms no other", async () => {
        const ids: string[] = [];
        for (let i = 0; i < 5; i++) ids.push(await submit(["#SBATCH --mem=20", ...sleeps(3600)], `j${i}`));
        for (const id of ids) await bench.until(async () => (await seen(id)) || undefined, `job ${id} to be seen`);
        const round = await client.round(SYSTEM, [
          ...ids.map((id) => tracked(id, { status: "running", confirm: false })),
          tracked("987654", { confirm: true }),
        ]);
        for (const id of ids) await client.cancel(SYSTEM, id);
        expect(ids.every((id) => round.seen.has(id))).toBe(true);
        expect(round.seen.has("987654")).toBe(false);
        // Six for the round, and one by id for the job to be confirmed.
        expect(round.requests).toBeLessThanOrEqual(7);
        expect(round.requestedAt).toBeLessThanOrEqual(bench.now());
      });
      const seen = async (id: string) => (await client.round(SYSTEM, [tracked(id)])).seen.has(id);

      it("exactly once, also when the answer to a submission is lost", async () => {
        const since = bench.now();
        // Its own tag: on a lasting site other tests have submitted under the usual one.
        const tag = `${bench.now()}`.padStart(13, "0").slice(-13);
        bench.loseAnswerTo("POST", /\/jobs(\/path)?$/);
        expect(await failure(client.submit(submission(sleeps(3600), "sim", tag)))).toMatchObject({
          retry: "after_check",
        });
        const found = await bench.until(async () => {
          const look = await client.findByName(SYSTEM, `sim.fw-${tag}`, since);
          return look.matches.length > 0 ? look.matches : undefined;
        }, "the finding of the job");
        expect(found).toHaveLength(1);
        await client.cancel(SYSTEM, found[0]?.schedulerId ?? "");
        expect((await client.findByName(SYSTEM, "sim.fw-zzzzzzzzzzzzz", since)).matches).toEqual([]);
      });
    });

    describe("does beside a job", () => {
      it.runIf(api === "v2")("what it is told to, and hears how that ended, as long as the job runs", async () => {
        const id = await submit(sleeps(3600), "beside");
        await reach(id, "running");
        // Its step is there a little later than the state.
        const ended = await bench.until(
          () => client.attach(SYSTEM, id, `echo 'a  b' > ${home}/beside; pwd`).catch(() => undefined),
          "a command beside the job",
        );
        expect(ended).toEqual({ exitCode: 0 });
        if (host.hasShell) {
          expect(await client.files.view(SYSTEM, `${home}/beside`)).toBe("a  b\n");
          expect(await client.attach(SYSTEM, id, "echo no such thing >&2; exit 3")).toEqual({ exitCode: 3 });
        }
        await client.cancel(SYSTEM, id);
        await reach(id, "cancelled", { status: "running" });
        expect(await failure(client.attach(SYSTEM, id, "true"))).toMatchObject({
          code: "scheduler_refused",
          retry: "never",
        });
      });

      it.runIf(api === "v1")("nothing, and says what to do instead", async () => {
        const error = await failure(client.attach(SYSTEM, "1", "true"));
        expect(error).toMatchObject({ code: "not_supported", retry: "never" });
        expect(error.message).toContain("in the job's own script");
      });
    });

    describe("reserves nodes", () => {
      it("nowhere, and says why, where the site or the API has no way to", async () => {
        const { reserving } = client;
        const from = { startsAt: "2030-01-01T08:00:00", endsAt: "2030-01-01T09:00:00" };
        const request = { nodes: 1, nodeType: "gpu", ...from };
        for (const work of [
          () => reserving.list(SYSTEM),
          () => reserving.create(SYSTEM, "class", "csstaff", request),
          () => reserving.change(SYSTEM, "class", request),
          () => reserving.remove(SYSTEM, "class"),
        ])
          expect(await failure(work())).toMatchObject({
            code: "not_supported",
            retry: "never",
            message: expect.stringMatching(/no tool for reservations|cannot change them/),
          });
      });
    });

    describe("moves files through the staging area", () => {
      async function stageFile(path: string): Promise<{ handle: Handle; url: string; expiresAt: number }> {
        const handle = await client.stage(SYSTEM, path);
        const state = await settle(handle);
        const staging = state.state === "done" ? (state.staging ?? handle.staging) : undefined;
        if (staging === undefined) throw new Error(JSON.stringify(state));
        return { handle, ...staging };
      }

      it("out: a link that is alive, and dead or alive after its release as the API can", async () => {
        await write("out.nc", new Uint8Array(50_000));
        const { handle, url, expiresAt } = await stageFile(`${home}/out.nc`);
        expect(expiresAt).toBeGreaterThan(bench.now() + 6 * DAY_MS);
        expect(await client.probe(url)).toMatchObject({ outcome: "live", totalBytes: 50_000 });
        expect(handle.releasable).toBe(RELEASES[api]);
        await client.release(handle);
        expect((await client.probe(url)).outcome).toBe(RELEASES[api] ? "dead" : "live");
        await expect(client.release(handle)).resolves.toBeUndefined();
      });

      it("out, through a link beside the file where its name is not plain", async () => {
        await write("odd name.nc", "odd");
        expect(await failure(client.stage(SYSTEM, `${home}/odd name.nc`))).toMatchObject({ code: "invalid_path" });
        await client.files.symlink(SYSTEM, `${home}/odd name.nc`, `${home}/.fw-1`);
        const { url } = await stageFile(`${home}/.fw-1`);
        expect(await (await bench.staged(url, {})).text()).toBe("odd");
      });

      it("out, never for a file that is not there", async () => {
        const error = await failure(client.stage(SYSTEM, `${home}/none`));
        expect(error).toMatchObject({ code: "not_found", retry: "never" });
      });

      it("in: the form or the parts are filled, and the file is there", async () => {
        const bytes = Uint8Array.from({ length: 30_000 }, (_, i) => i % 256);
        const { handle, form } = await client.stageUpload(SYSTEM, `${home}/in.bin`, bytes.length);
        if (form === undefined) throw new Error("no form");
        await fill(bench, form, bytes);
        expect(await settle(handle)).toMatchObject({ state: "done" });
        expect(await client.files.download(SYSTEM, `${home}/in.bin`)).toEqual(bytes);
      });
    });

    describe("runs file operations as jobs", () => {
      it("and believes neither the scheduler nor a missing file", async () => {
        await write("a.txt", "a");
        const good = await client.fileJob(SYSTEM, { op: "copy", from: `${home}/a.txt`, to: `${home}/b.txt` });
        expect(await settle(good)).toMatchObject({ state: "done" });
        expect(text(await client.files.download(SYSTEM, `${home}/b.txt`))).toBe("a");
        const bad = await client.fileJob(SYSTEM, { op: "copy", from: `${home}/none`, to: `${home}/c.txt` });
        expect(await settle(bad)).toMatchObject({ state: "failed", code: "not_found" });
      });

      it.runIf(api === "v1")("after another job, once that has succeeded", async () => {
        await write("late.txt", "");
        const write42 = host.hasShell ? `echo 42 > ${home}/late.txt` : `#FAKE write ${home}/late.txt 42`;
        const first = await submit([...sleeps(host.beatSeconds), write42], "first");
        const job = { op: "copy", from: `${home}/late.txt`, to: `${home}/copy.txt` } as const;
        const handle = await client.fileJob(SYSTEM, job, undefined, first);
        expect(await settle(handle)).toMatchObject({ state: "done" });
        expect(text(await client.files.download(SYSTEM, `${home}/copy.txt`)).trim()).toBe("42");
      });

      it.runIf(api === "v2")("and cannot make one wait for another job, which it says", async () => {
        const job = { op: "copy", from: `${home}/a`, to: `${home}/b` } as const;
        expect(await failure(client.fileJob(SYSTEM, job, undefined, "1"))).toMatchObject({
          code: "not_supported",
          retry: "never",
        });
      });

      it("each of them", async () => {
        const { files } = client;
        await files.mkdir(SYSTEM, `${home}/d`);
        await files.upload(SYSTEM, `${home}/d`, "a.txt", new TextEncoder().encode("a"));
        await files.mkdir(SYSTEM, `${home}/out`);
        const jobs = [
          { op: "compress", from: `${home}/d`, to: `${home}/d.tar.gz` },
          { op: "extract", from: `${home}/d.tar.gz`, to: `${home}/out` },
          { op: "move", from: `${home}/out/d/a.txt`, to: `${home}/moved.txt` },
          { op: "remove", path: `${home}/d` },
        ] as const;
        for (const job of jobs)
          expect(await settle(await client.fileJob(SYSTEM, job)), job.op).toMatchObject({ state: "done" });
        expect(text(await files.download(SYSTEM, `${home}/moved.txt`))).toBe("a");
        expect(await failure(files.stat(SYSTEM, `${home}/d`))).toMatchObject({ code: "not_found" });
      });
    });
  });
}

/** Does what whoever uploads must do: the form's fields before the file, or each part and their completion. */
async function fill(bench: Bench, form: UploadForm, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (form.kind === "form") {
    const body = new FormData();
    for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
    body.append("file", new Blob([bytes]), "in.bin");
    // The store wants to know the length, as a real one does.
    const raw = new Response(body);
    const content = await raw.arrayBuffer();
    const headers = {
      "content-type": raw.headers.get("content-type") ?? "",
      "content-length": String(content.byteLength),
    };
    expect((await bench.staged(form.url, { method: "POST", body: content, headers })).status).toBe(204);
    return;
  }
  const etags: string[] = [];
  for (const [i, url] of form.partUrls.entries()) {
    const part = bytes.slice(i * form.partBytes, (i + 1) * form.partBytes);
    const headers = { "content-length": String(part.byteLength) };
    etags.push((await bench.staged(url, { method: "PUT", body: part, headers })).headers.get("etag") ?? "");
  }
  const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join("");
  const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
  expect((await bench.staged(form.completeUrl, { method: "POST", body })).status).toBe(200);
}
