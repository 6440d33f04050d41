/** What every FirecREST client must do, told once and run against each API on the embedded server. */
import { beforeEach, describe, expect, it } from "vitest";
import type { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Api, Handle, HandleState, TrackedJob, UploadForm } from "../../shared/firecrest/port.ts";
import { composeScript } from "../../shared/firecrest/script.ts";
import { type EmbeddedSite, embeddedSite } from "../support/embedded-site.ts";

const SYSTEM = "cluster";
const TAG = "0123456789abc";

interface Row {
  api: Api;
  /** Whether a release makes the staged link die. */
  releases: boolean;
}

const ROWS: Row[] = [
  { api: "v1", releases: true },
  { api: "v2", releases: false },
];

describe.each(ROWS)("the $api client", ({ api, releases }) => {
  let site: EmbeddedSite;
  let home = "";
  beforeEach(async () => {
    site = await embeddedSite(api);
    home = `/scratch/${site.user}`;
  });

  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const failure = async (work: Promise<unknown>) =>
    (await work.then(
      () => undefined,
      (e: unknown) => e,
    )) as FirecrestError | undefined;
  const write = (name: string, content: string | Uint8Array<ArrayBuffer>) =>
    site.client.files.upload(
      SYSTEM,
      home,
      name,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );

  const submission = (lines: string[], name = "sim", tag = TAG) => {
    const composed = composeScript({ api, script: `#!/bin/bash -l\n${lines.join("\n")}\necho end\n`, name, tag });
    if (!composed.ok || composed.script === undefined || composed.jobName === undefined)
      throw new Error("not composed");
    return { system: SYSTEM, script: composed.script, name: composed.jobName, workingDirectory: home };
  };
  /** Submits, and waits where the site takes its time. */
  async function submit(lines: string[], name?: string, tag?: string): Promise<string> {
    const result = await site.client.submit(submission(lines, name, tag));
    if (result.outcome === "submitted") return result.schedulerId;
    const state = await settle(result.handle);
    if (state.state !== "done" || state.schedulerId === undefined) throw new Error(JSON.stringify(state));
    return state.schedulerId;
  }
  const tracked = (schedulerId: string, more: Partial<TrackedJob> = {}): TrackedJob => ({
    schedulerId,
    acceptedAt: site.now() - 1_000,
    submittedAt: site.now(),
    status: "queued",
    confirm: true,
    ...more,
  });
  const observe = async (schedulerId: string, more: Partial<TrackedJob> = {}) =>
    (await site.client.round(SYSTEM, [tracked(schedulerId, more)])).seen.get(schedulerId);
  async function settle(handle: Handle, rounds = 120): Promise<HandleState> {
    for (let i = 0; i < rounds; i++) {
      const [state] = await site.client.observe([handle]);
      if (state !== undefined && state.state !== "working") return state;
      await site.advance(1_000);
    }
    throw new Error("does not settle");
  }

  describe("knows the site", () => {
    it("by its systems, limits and user", async () => {
      expect(await site.client.systems()).toMatchObject([{ name: SYSTEM, available: true }]);
      expect((await site.client.systems())[0]?.fileSystems.map((fs) => fs.path)).toContain("/scratch");
      expect((await site.client.parameters()).stagingTtlSeconds).toBe(604_800);
      expect(await site.client.whoami(SYSTEM)).toBe(site.user);
    });

    it("and says which system there is not", async () => {
      expect(await failure(site.client.whoami("nowhere"))).toMatchObject({ code: "unknown_system", retry: "never" });
    });
  });

  describe("works with files", () => {
    it("from writing to removing them, byte for byte", async () => {
      const { files } = site.client;
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
      await files.remove(SYSTEM, `${home}/a`);
      expect(await failure(files.stat(SYSTEM, `${home}/a`))).toMatchObject({ code: "not_found", retry: "never" });
    });

    it("as text: from the front, from the end, and whole", async () => {
      await write("t.txt", Array.from({ length: 30 }, (_, i) => `line ${i + 1}\n`).join(""));
      const { files } = site.client;
      expect(await files.head(SYSTEM, `${home}/t.txt`, { lines: 2 })).toBe("line 1\nline 2\n");
      expect(await files.tail(SYSTEM, `${home}/t.txt`, { lines: 1 })).toBe("line 30\n");
      expect(await files.head(SYSTEM, `${home}/t.txt`, { bytes: 4 })).toBe("line");
      expect((await files.view(SYSTEM, `${home}/t.txt`)).split("\n")).toHaveLength(31);
    });

    it("with names that are not plain", async () => {
      await write("with space.txt", "x");
      expect((await site.client.files.ls(SYSTEM, home)).map((e) => e.name)).toContain("with space.txt");
      expect(text(await site.client.files.download(SYSTEM, `${home}/with space.txt`))).toBe("x");
    });

    it("and tells what is wrong with a request in its own words", async () => {
      const { files } = site.client;
      await files.mkdir(SYSTEM, `${home}/d`);
      expect(await failure(files.mkdir(SYSTEM, `${home}/d`))).toMatchObject({ code: "already_exists" });
      await files.chmod(SYSTEM, `${home}/d`, "000");
      expect(await failure(files.ls(SYSTEM, `${home}/d`))).toMatchObject({ code: "permission_denied", retry: "never" });
      expect(await failure(files.download(SYSTEM, `${home}/none`))).toMatchObject({ code: "not_found" });
      expect(await failure(files.stat(SYSTEM, `${home}/it's`))).toMatchObject({ code: "invalid_path", retry: "never" });
    });

    it("as jobs or at once, whichever the API has, for moves and copies", async () => {
      await write("from.txt", "content");
      for (const [op, to] of [
        ["copy", "copied.txt"],
        ["move", "moved.txt"],
      ] as const) {
        const result = await site.client.files[op](SYSTEM, `${home}/from.txt`, `${home}/${to}`);
        if (!result.done) expect(await settle(result.handle)).toMatchObject({ state: "done" });
        expect(text(await site.client.files.download(SYSTEM, `${home}/${to}`))).toBe("content");
      }
      expect(await failure(site.client.files.stat(SYSTEM, `${home}/from.txt`))).toMatchObject({ code: "not_found" });
    });
  });

  describe("runs jobs", () => {
    it("from the submission to a successful end", async () => {
      const id = await submit(["#FAKE sleep 30", "#FAKE print hello"]);
      expect(["queued", "running", "unknown"]).toContain((await observe(id))?.state);
      await site.advance(10_000);
      expect(await observe(id, { name: `sim.fw-${TAG}` })).toMatchObject({ state: "running", name: `sim.fw-${TAG}` });
      const { stdoutPath } = await site.client.outputPaths(SYSTEM, id);
      expect(stdoutPath).toMatch(/^\//);
      await site.advance(60_000);
      expect(await observe(id, { status: "running" })).toMatchObject({
        state: "succeeded",
        exitCode: 0,
        skeleton: false,
      });
      expect(await site.client.files.view(SYSTEM, stdoutPath ?? "")).toBe("hello\n");
    });

    it("to a failure with its exit code, a time limit, or a cancellation", async () => {
      const failing = await submit(["#FAKE exit 3"], "a");
      const long = await submit(["#SBATCH --time=1", "#FAKE sleep 3600"], "b");
      const cancelled = await submit(["#FAKE sleep 3600"], "c");
      await site.advance(5_000);
      expect(await site.client.cancel(SYSTEM, cancelled)).toBe("requested");
      await site.advance(180_000);
      expect(await observe(failing)).toMatchObject({ state: "failed", reason: "exit_code", exitCode: 3 });
      expect(await observe(long, { status: "running" })).toMatchObject({ state: "failed", reason: "timeout" });
      expect(await observe(cancelled, { status: "running" })).toMatchObject({ state: "cancelled" });
      expect(await site.client.cancel(SYSTEM, cancelled)).toBe("over");
    });

    it("and says for certain when the scheduler refuses one", async () => {
      expect(await failure(site.client.submit(submission(["#SBATCH --partition=nosuch"])))).toMatchObject({
        code: "scheduler_refused",
        retry: "never",
      });
    });

    it("as arrays, which are one observation", async () => {
      const id = await submit(["#SBATCH --array=1-3", "#FAKE sleep 5"]);
      await site.advance(60_000);
      expect(await observe(id, { arraySize: 3, status: "running" })).toMatchObject({
        schedulerId: id,
        state: "succeeded",
        array: { total: 3, succeeded: 3, failed: 0 },
      });
    });

    it("many at once, in at most six requests, and one unknown id harms no other", async () => {
      const ids: string[] = [];
      for (let i = 0; i < 12; i++) ids.push(await submit(["#FAKE sleep 3600"], `j${i}`));
      await site.advance(30_000);
      const round = await site.client.round(SYSTEM, [
        ...ids.map((id) => tracked(id, { status: "running", confirm: false })),
        tracked("987654", { confirm: true }),
      ]);
      expect(ids.every((id) => round.seen.has(id))).toBe(true);
      expect(round.seen.has("987654")).toBe(false);
      // Six for the round, and one by id for the job to be confirmed.
      expect(round.requests).toBeLessThanOrEqual(7);
      expect(round.requestedAt).toBeLessThanOrEqual(site.now());
    });

    it("exactly once, also when the answer to a submission is lost", async () => {
      const since = site.now();
      site.loseAnswerTo("POST", /\/jobs(\/path)?$/);
      expect(await failure(site.client.submit(submission(["#FAKE sleep 3600"])))).toMatchObject({
        retry: "after_check",
      });
      await site.advance(20_000);
      const found = await site.client.findByName(SYSTEM, `sim.fw-${TAG}`, since);
      expect(found.matches).toHaveLength(1);
      expect((await site.client.findByName(SYSTEM, "sim.fw-zzzzzzzzzzzzz", since)).matches).toEqual([]);
    });
  });

  describe("moves files through the staging area", () => {
    async function stageFile(path: string): Promise<{ handle: Handle; url: string; expiresAt: number }> {
      const handle = await site.client.stage(SYSTEM, path);
      const state = await settle(handle);
      const staging = state.state === "done" ? (state.staging ?? handle.staging) : undefined;
      if (staging === undefined) throw new Error(JSON.stringify(state));
      return { handle, ...staging };
    }

    it("out: a link that is alive, and dead or alive after its release as the API can", async () => {
      await write("out.nc", new Uint8Array(50_000));
      const { handle, url, expiresAt } = await stageFile(`${home}/out.nc`);
      expect(expiresAt).toBeGreaterThan(site.now() + 6 * 86_400_000);
      expect(await site.client.probe(url)).toMatchObject({ outcome: "live", totalBytes: 50_000 });
      expect(handle.releasable).toBe(releases);
      await site.client.release(handle);
      expect((await site.client.probe(url)).outcome).toBe(releases ? "dead" : "live");
      await expect(site.client.release(handle)).resolves.toBeUndefined();
    });

    it("out, through a link beside the file where its name is not plain", async () => {
      await write("odd name.nc", "odd");
      expect(await failure(site.client.stage(SYSTEM, `${home}/odd name.nc`))).toMatchObject({ code: "invalid_path" });
      await site.client.files.symlink(SYSTEM, `${home}/odd name.nc`, `${home}/.fw-1`);
      const { url } = await stageFile(`${home}/.fw-1`);
      expect(await (await site.staged(url, {})).text()).toBe("odd");
    });

    it("out, never for a file that is not there", async () => {
      const error = await failure(site.client.stage(SYSTEM, `${home}/none`));
      expect(error).toMatchObject({ code: "not_found", retry: "never" });
    });

    it("in: the form or the parts are filled, and the file is there", async () => {
      const bytes = Uint8Array.from({ length: 30_000 }, (_, i) => i % 256);
      const { handle, form } = await site.client.stageUpload(SYSTEM, `${home}/in.bin`, bytes.length);
      if (form === undefined) throw new Error("no form");
      await fill(form, bytes);
      expect(await settle(handle)).toMatchObject({ state: "done" });
      expect(await site.client.files.download(SYSTEM, `${home}/in.bin`)).toEqual(bytes);
    });

    async function fill(form: UploadForm, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
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
        expect((await site.staged(form.url, { method: "POST", body: content, headers })).status).toBe(204);
        return;
      }
      const etags: string[] = [];
      for (const [i, url] of form.partUrls.entries()) {
        const part = bytes.slice(i * form.partBytes, (i + 1) * form.partBytes);
        const headers = { "content-length": String(part.byteLength) };
        etags.push((await site.staged(url, { method: "PUT", body: part, headers })).headers.get("etag") ?? "");
      }
      const parts = etags
        .map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
        .join("");
      const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
      expect((await site.staged(form.completeUrl, { method: "POST", body })).status).toBe(200);
    }
  });

  describe("runs file operations as jobs", () => {
    it("and believes neither the scheduler nor a missing file", async () => {
      await write("a.txt", "a");
      const good = await site.client.fileJob(SYSTEM, { op: "copy", from: `${home}/a.txt`, to: `${home}/b.txt` });
      expect(await settle(good)).toMatchObject({ state: "done" });
      expect(text(await site.client.files.download(SYSTEM, `${home}/b.txt`))).toBe("a");
      const bad = await site.client.fileJob(SYSTEM, { op: "copy", from: `${home}/none`, to: `${home}/c.txt` });
      expect(await settle(bad)).toMatchObject({ state: "failed", code: "not_found" });
    });
  });
});

describe("the v1 client on a site with the defects of the real one", () => {
  it("sees that a release which was answered with success released nothing", async () => {
    const site = await embeddedSite("v1", "1.16.6");
    const home = `/scratch/${site.user}`;
    await site.client.files.upload(SYSTEM, home, "x", new Uint8Array(10));
    const handle = await site.client.stage(SYSTEM, `${home}/x`);
    for (let i = 0; i < 30; i++) {
      const [state] = await site.client.observe([handle]);
      if (state?.state === "done" && state.staging !== undefined) {
        await site.client.release(handle);
        expect((await site.client.probe(state.staging.url)).outcome).toBe("live");
        return;
      }
      await site.advance(1_000);
    }
    expect.unreachable("the file was never staged");
  });
});
