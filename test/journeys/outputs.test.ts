/** The way down as a user walks it: real Workers, real shells, real files; proofs, wildcards, directories. */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deploy, eventually } from "./deployment.ts";

interface Output {
  transferId: string;
  path: string;
  key: string;
  status: string;
}

/** What the v1 site stages at most; a part has 32 MiB. */
const STAGING_MAX_BYTES = 72 * 1024 * 1024;

let firewatch: Deployment;
beforeAll(async () => {
  firewatch = await deploy({ apis: ["v1", "v2"], firecrest: { limits: { stagingMaxBytes: STAGING_MAX_BYTES } } });
});
afterAll(() => firewatch?.stop());

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

for (const connection of ["local-v1", "local-v2"]) {
  describe(`on ${connection}`, () => {
    const token = () => firewatch.connections[connection]?.apiKey ?? "";
    const call = (method: string, path: string, body?: unknown) =>
      firewatch.call(method, `/v1/connections/${connection}/${path}`, {
        token: token(),
        ...(body === undefined ? {} : { body }),
      });

    async function run(script: string, outputs: object[]): Promise<{ id: string; status: string; outputs: Output[] }> {
      const { status, body, text } = await call("POST", "jobs", {
        system: "cluster",
        script: `#!/bin/bash -l\n${script}\n`,
        outputs,
      });
      expect(status, text).toBe(202);
      return eventually(
        async () => {
          const { body: job } = await call("GET", `jobs/${body.id}`);
          return job.settledAt === undefined ? undefined : job;
        },
        "the settling of the job",
        120_000,
      );
    }

    async function object(key: string): Promise<Buffer> {
      const headers = { authorization: `Bearer ${token()}` };
      const response = await fetch(`${firewatch.url}/v1/connections/${connection}/objects/${key}`, { headers });
      expect(response.status).toBe(200);
      return Buffer.from(await response.arrayBuffer());
    }

    /** What of ours is left where a file is. */
    const leftovers = async (directory: string) =>
      (await readdir(directory)).filter((name) => name.startsWith(".fw-") && !name.endsWith(".sh"));

    it("proves an output of several parts by the hashes that the job itself made, and removes those", async () => {
      const { outputs } = await run("head -c 70000000 /dev/urandom > out.bin", [
        { path: "out.bin", key: "proven/out.bin", verify: "manifest" },
      ]);
      const { body: transfer } = await call("GET", `transfers/${outputs[0]?.transferId}`);
      expect(transfer).toMatchObject({ status: "stored", proof: "manifest", bytes: 70_000_000 });
      const original = await readFile(transfer.path);
      expect(transfer.sha256).toBe(sha256(original));
      expect(sha256(await object("proven/out.bin"))).toBe(sha256(original));
      const gone = async () => ((await leftovers(join(transfer.path, ".."))).length === 0 ? true : undefined);
      await eventually(gone, "the removal of the manifest");
    });

    it.runIf(connection === "local-v1")("joins a file that is larger than what the site stages", async () => {
      const { outputs } = await run("mkdir 'my dir'; head -c 140000000 /dev/urandom > 'my dir/large file.bin'", [
        { path: "my dir/large file.bin", key: "large.bin" },
      ]);
      const { body: transfer } = await call("GET", `transfers/${outputs[0]?.transferId}`);
      expect(transfer).toMatchObject({ status: "stored", proof: "manifest", bytes: 140_000_000 });
      const original = await readFile(transfer.path);
      expect(transfer.sha256).toBe(sha256(original));
      expect(sha256(await object("large.bin"))).toBe(sha256(original));
      const gone = async () => ((await leftovers(join(transfer.path, "../.."))).length === 0 ? true : undefined);
      await eventually(gone, "the removal of the pieces");
    });

    it("proves any other file by a small job of its own, which leaves nothing", async () => {
      const { outputs } = await run("true > here", [{ path: "here", key: "here" }]);
      const { body: marker } = await call("GET", `transfers/${outputs[0]?.transferId}`);
      const path = join(marker.path, "../data.bin");
      await writeFile(path, randomBytes(1_000_000));
      const before = await readdir(join(path, "../.."));
      const request = { direction: "download", system: "cluster", path, key: "data.bin", verify: "manifest" };
      const { body: started } = await call("POST", "transfers", request);
      const transfer = await eventually(
        async () => {
          const { body } = await call("GET", `transfers/${started.id}`);
          return body.endedAt === undefined ? undefined : body;
        },
        "the end of the transfer",
        60_000,
      );
      expect(transfer).toMatchObject({ status: "stored", proof: "manifest" });
      expect(sha256(await object("data.bin"))).toBe(sha256(await readFile(path)));
      expect((await stat(path)).size).toBe(1_000_000);
      const gone = async () => ((await readdir(join(path, "../.."))).length <= before.length ? true : undefined);
      await eventually(gone, "the removal of what the small job left");
    });

    it("fetches files by wildcard and a directory as an archive, as the job left them", async () => {
      const script =
        "mkdir -p out/sub; for n in 1 2 3; do echo $n > out/$n.csv; done; echo x > out/sub/x.txt; echo y > 'out/y z.csv'";
      const { outputs } = await run(script, [
        { path: "out/*.csv", key: "table", verify: "manifest" },
        { path: "out/", key: "all.tar.gz" },
        { path: "none/*", key: "none" },
      ]);
      expect(outputs.map(({ key, status }) => `${status} ${key}`)).toEqual([
        ...["1", "2", "3", "y z"].map((name) => `stored table/${name}.csv`),
        "stored all.tar.gz",
        "failed none/*",
      ]);
      expect((await object("table/2.csv")).toString()).toBe("2\n");
      expect((await object("table/y z.csv")).toString()).toBe("y\n");
      const { body: first } = await call("GET", `transfers/${outputs[0]?.transferId}`);
      expect(first).toMatchObject({ proof: "manifest" });
      const archive = await object("all.tar.gz");
      const { stdout } = spawnSync("tar", ["-tzf", "-"], { input: archive });
      const names = stdout
        .toString()
        .split("\n")
        .filter((name) => name !== "" && !name.endsWith("/"));
      expect(names.sort()).toEqual(["out/1.csv", "out/2.csv", "out/3.csv", "out/sub/x.txt", "out/y z.csv"]);
      const { body: failed } = await call("GET", `transfers/${outputs.at(-1)?.transferId}`);
      expect(failed).toMatchObject({ reason: "no_match" });
      const directory = join(first.path, "../..");
      const gone = async () => ((await leftovers(directory)).length === 0 ? true : undefined);
      await eventually(gone, "the removal of the archive and the manifest");
    });
  });
}
