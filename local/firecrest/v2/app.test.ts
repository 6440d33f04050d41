import { beforeEach, describe, expect, it } from "vitest";
import { OPERATIONS } from "../../../shared/firecrest/v2/operations.ts";
import { createFirecrest, type MemoryFirecrest } from "../memory.ts";
import type { ClientAccount } from "../oidc.ts";
import { type Rig, rigOn } from "./testing.ts";

const ALICE: ClientAccount = { clientId: "a", clientSecret: "secret-a", user: "alice" };
const BOB: ClientAccount = { clientId: "b", clientSecret: "secret-b", user: "bob" };

let site: MemoryFirecrest;
let host: MemoryFirecrest["host"];
let rig: Rig;
const HOME = "/scratch/alice";

beforeEach(async () => {
  site = await createFirecrest({ accounts: [ALICE, BOB], v2: { maxPartBytes: 6 * 1024 * 1024 } });
  host = site.host;
  rig = rigOn(site, ALICE);
});

async function tokenOf(seconds: number): Promise<string> {
  const fault = site.faults.add({ kind: "token_life", seconds });
  const token = await rig.token();
  site.faults.remove(fault);
  return token;
}

const body = async (response: Response) => (await response.json()) as Record<string, never>;
const put = (name: string, content: string | Uint8Array) =>
  rig.client.files.upload(
    "cluster",
    HOME,
    name,
    typeof content === "string" ? new TextEncoder().encode(content) : content,
  );

describe("the embedded v2 site", () => {
  it("answers each of the 35 operations, and none with 404 or 501", async () => {
    await put("x", "x");
    for (const [id, { method, route }] of Object.entries(OPERATIONS)) {
      const path = route.replace("{system}", "cluster").replace("{id}", "1");
      const response = await rig.api(method, path);
      const known =
        response.status === 404 ? /Job not found/.test(JSON.stringify(await response.json())) : response.status !== 405;
      expect(known && response.status !== 501, `${id}: ${response.status}`).toBe(true);
      expect(response.headers.get("f7t-appversion"), id).toBe("2.5.7");
    }
  });

  it("says who it does not know in FirecREST's words, and echoes the token that it refuses", async () => {
    const ask = (authorization: string) => rig.api("GET", "/status/systems", { headers: { authorization } });
    const missing = await ask("Basic abc");
    expect([missing.status, missing.headers.get("www-authenticate"), (await body(missing)).message]).toEqual([
      401,
      "Bearer",
      "Not authenticated",
    ]);
    const garbage = await ask("Bearer nonsense");
    expect([garbage.headers.get("auth-token"), (await body(garbage)).message]).toEqual([
      "nonsense",
      "Access token is invalid.",
    ]);
    const short = await ask(`Bearer ${await tokenOf(20)}`);
    expect((await body(short)).message).toBe("Access token expires too soon (less than 30s remaining).");
    const old = await tokenOf(60);
    await host.advance(61_000);
    expect((await body(await ask(`Bearer ${old}`))).message).toBe("Access token expired");
    expect((await ask(`bearer ${await rig.token()}`)).status).toBe(200);
  });

  it("routes like the real one: any case, exact slashes, ids that are UUIDs", async () => {
    expect((await rig.api("GET", "/Status/CLUSTER/Nodes")).status).toBe(200);
    const redirect = await rig.api("GET", "/status/liveness");
    expect([redirect.status, redirect.headers.get("location")]).toEqual([
      307,
      "https://site.test/hpc/firecrest/v2/status/liveness/",
    ]);
    expect((await rig.api("GET", "/status/systems/")).headers.get("location")).toMatch(/\/status\/systems$/);
    expect((await rig.api("GET", "/nope")).status).toBe(404);
    expect((await rig.api("PUT", "/status/systems")).status).toBe(405);
    expect((await rig.api("HEAD", "/status/systems")).status).toBe(405);
    const refused = await rig.api("GET", "/status/systems", { headers: { "x-request-id": "abc" } });
    expect([refused.status, await refused.text(), refused.headers.get("f7t-appversion")]).toEqual([400, "", null]);
    const id = crypto.randomUUID();
    expect(
      (await rig.api("GET", "/status/systems", { headers: { "x-request-id": id } })).headers.get("x-request-id"),
    ).toBe(id);
  });

  it("shows systems, parameters and the user to our client", async () => {
    expect(await rig.client.systems()).toMatchObject([{ name: "cluster", available: true }]);
    expect(await rig.client.parameters()).toEqual({
      version: "2.5.7",
      scheduler: "slurm",
      objectStorage: "s3",
      stagingTtlSeconds: 604_800,
      stagingMaxBytes: 62_914_560_000,
      directMaxBytes: 3_932_157,
      directUploadMaxBytes: 5_242_880,
      commandTimeoutSeconds: 5,
    });
    expect(await rig.client.whoami("cluster")).toBe("alice");
    await expect(rig.client.whoami("nope")).rejects.toMatchObject({ code: "unknown_system" });
    expect((await rig.client.files.ls("cluster", "/scratch")).map(({ name }) => name)).toEqual(["alice", "bob"]);
  });

  it("refuses while a service is flagged, and says so in S1", async () => {
    site.v2Options.unhealthy = ["scheduler"];
    await expect(
      rig.client.round("cluster", [{ schedulerId: "1", acceptedAt: 0, status: "queued", confirm: true }]),
    ).rejects.toMatchObject({
      code: "system_unavailable",
      httpStatus: 503,
    });
    expect((await rig.client.systems())[0]?.available).toBe(false);
    site.v2Options.unhealthy = ["/scratch"];
    await expect(rig.client.files.stat("cluster", HOME)).rejects.toMatchObject({ httpStatus: 503 });
  });
});

describe("jobs on the embedded v2 site", () => {
  const submit = (script: string, more = {}) =>
    rig.client.submit({
      system: "cluster",
      script: `#!/bin/bash\n${script}\n`,
      workingDirectory: `${HOME}/run`,
      ...more,
    });
  const look = async (schedulerId: string, more = {}) =>
    (
      await rig.client.round("cluster", [
        { schedulerId, acceptedAt: host.now(), status: "running", confirm: true, ...more },
      ])
    ).seen.get(schedulerId);

  it("go from the queue to their end", async () => {
    const result = await submit("#FAKE sleep 60\n#FAKE write out.txt done\n#FAKE exit 3", { name: "run.fw-1" });
    if (result.outcome !== "submitted") expect.fail("pending");
    expect(await look(result.schedulerId)).toMatchObject({ state: "queued", name: "run.fw-1" });
    await host.advance(10_000);
    expect(await look(result.schedulerId)).toMatchObject({ state: "running" });
    await host.advance(60_000);
    expect(await look(result.schedulerId)).toMatchObject({
      state: "failed",
      reason: "exit_code",
      exitCode: 3,
      workingDirectory: `${HOME}/run`,
    });
    expect(await rig.client.outputPaths("cluster", result.schedulerId)).toEqual({
      stdoutPath: `${HOME}/run/slurm-${result.schedulerId}.out`,
      stderrPath: `${HOME}/run/slurm-${result.schedulerId}.out`,
    });
    expect(await rig.client.files.view("cluster", `${HOME}/run/out.txt`)).toBe("done\n");
  });

  it("are found by name, cancelled once, and over after that", async () => {
    const result = await submit("#FAKE sleep 600", { name: "find.fw-1" });
    if (result.outcome !== "submitted") expect.fail("pending");
    const found = await rig.client.findByName("cluster", "find.fw-1", host.now());
    expect(found).toMatchObject({ conclusive: true, matches: [{ schedulerId: result.schedulerId }] });
    expect((await rig.client.findByName("cluster", "other", host.now())).matches).toEqual([]);
    await host.advance(5_000);
    expect(await rig.client.cancel("cluster", result.schedulerId)).toBe("requested");
    await host.advance(60_000);
    expect(await look(result.schedulerId)).toMatchObject({ state: "cancelled", reason: "cancelled_by_request" });
    expect(await rig.client.cancel("cluster", result.schedulerId)).toBe("over");
    expect(await rig.client.cancel("cluster", "99999")).toBe("over");
  });

  it("as arrays are one job with counts", async () => {
    const result = await submit("#SBATCH --array=1-3\n#FAKE sleep 5");
    if (result.outcome !== "submitted") expect.fail("pending");
    expect(await look(result.schedulerId, { arraySize: 3 })).toMatchObject({ state: "queued" });
    await host.advance(3_000);
    expect(await look(result.schedulerId, { arraySize: 3 })).toMatchObject({ state: "running" });
    await host.advance(60_000);
    expect(await look(result.schedulerId, { arraySize: 3 })).toMatchObject({
      state: "succeeded",
      array: { total: 3, succeeded: 3 },
    });
  });

  it("are refused in sbatch's words", async () => {
    await expect(submit("#SBATCH --partition=nosuch")).rejects.toMatchObject({
      code: "scheduler_refused",
      retry: "never",
      httpStatus: 500,
    });
    await expect(
      rig.client.submit({ system: "cluster", script: "no shebang", workingDirectory: HOME }),
    ).rejects.toMatchObject({ code: "scheduler_refused" });
    const invalid = await rig.api("POST", "/compute/cluster/jobs", { json: { job: { script: "#!/bin/sh" } } });
    expect([invalid.status, (await body(invalid)).data]).toEqual([
      400,
      { fields: [{ location: "body", name: "job", message: "Field required" }] },
    ]);
    const empty = await rig.api("POST", "/compute/cluster/jobs", { json: { job: { workingDirectory: HOME } } });
    expect(empty.status).toBe(408);
  });

  it("of others can be seen, not cancelled", async () => {
    const result = await submit("#FAKE sleep 600");
    if (result.outcome !== "submitted") expect.fail("pending");
    const bob = rigOn(site, BOB);
    expect(
      (
        await bob.client.round("cluster", [
          { schedulerId: result.schedulerId, acceptedAt: host.now(), status: "running", confirm: true },
        ])
      ).seen.size,
    ).toBe(1);
    await expect(bob.client.cancel("cluster", result.schedulerId)).rejects.toMatchObject({ code: "permission_denied" });
  });

  it("hide behind 404 and skeleton rows where that is asked for", async () => {
    site.v2Options.hiddenLooks = 2;
    const result = await submit("#FAKE sleep 1");
    if (result.outcome !== "submitted") expect.fail("pending");
    const ask = () =>
      rig.client.round("cluster", [
        { schedulerId: result.schedulerId, acceptedAt: host.now(), status: "queued", confirm: true },
      ]);
    expect([(await ask()).notSeen.size, (await ask()).notSeen.size, (await ask()).notSeen.size]).toEqual([1, 1, 0]);
    site.faults.add({ kind: "young_accounting", rows: "skeleton", youngerThanMs: 60_000 });
    await host.advance(10_000);
    expect((await ask()).seen.get(result.schedulerId)).toMatchObject({ skeleton: true });
    expect((await rig.client.findByName("cluster", "other", host.now() - 20_000)).conclusive).toBe(false);
    await host.advance(60_000);
    expect((await ask()).seen.get(result.schedulerId)).toMatchObject({ state: "succeeded", skeleton: false });
  });

  it("cannot be asked about while accounting is down, though they can be submitted", async () => {
    site.faults.add({ kind: "scheduler_down", part: "accounting" });
    const result = await submit("#FAKE sleep 1");
    expect(result.outcome).toBe("submitted");
    await expect(look("1")).rejects.toMatchObject({ code: "system_unavailable", retry: "later" });
  });
});
