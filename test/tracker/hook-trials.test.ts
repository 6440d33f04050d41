import { describe, expect, it } from "vitest";
import type { HookRequestBody } from "../../shared/contract/hook.ts";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { Started, VerifiedInbound } from "../../shared/contract/rpc.ts";
import { targetProblems } from "../../workers/poller/examine.ts";
import * as hooks from "../../workers/poller/hooks.ts";
import { preview } from "../../workers/poller/preview.ts";
import { retire } from "../../workers/poller/retention.ts";
import { inWorld, World } from "./world.ts";

const ADMIN = { name: "admin" };
/** A directory that the embedded site has. */
const HOME = "/home/alice";
const DAY_MS = 24 * 3_600_000;

/** What differs between two submissions of the same request: ids, and what only the site knows. */
const alike = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(/fw-[0-9a-z]{13}/g, "fw-TAG")
      .replaceAll(/job_[0-9a-z]{26}/g, "JOB")
      .replaceAll(/\/(USER|[a-z0-9]+)\/firewatch\/JOB/g, "/USER/firewatch/JOB"),
  );

/** Everything that was really sent to the site meanwhile, except reads, in the words of a preview. */
function watched(world: World): { method: string; url: string; sent: unknown }[] {
  const sent: { method: string; url: string; sent: unknown }[] = [];
  const { fetch } = world.firecrest;
  world.firecrest.fetch = async (request) => {
    if (request.method !== "GET" && !/openid|token/.test(request.url)) {
      const type = request.headers.get("content-type") ?? "";
      const copy = request.clone();
      const body = type.includes("json") ? await copy.json() : [...(await copy.formData())];
      const fields = Array.isArray(body)
        ? Object.fromEntries(
            await Promise.all(
              body.map(async ([name, value]) => [name, typeof value === "string" ? value : await value.text()]),
            ),
          )
        : body;
      sent.push({ method: request.method, url: request.url, sent: fields });
    }
    return fetch(request);
  };
  return sent;
}

const JOBS: Record<string, Partial<JobRequest>> = {
  "a script with values": { env: { TEXT: "a 'b' $(c)\n\u20ac", N: "5" }, name: "trial" },
  "resources, account and ping": { resources: { nodes: 2, timeLimitSeconds: 60 }, account: "csstaff", ping: true },
  "its own directory": { workingDirectory: HOME },
};

describe.each(["v1", "v2"] as const)("a preview on %s", (api) => {
  it.each(Object.entries(JOBS))("shows what is then sent, word for word: %s", (_, job) =>
    inWorldOf(api, async (world) => {
      const request = { system: "cluster", script: "#!/bin/bash -l\n#FAKE sleep 1\n", ...job } as JobRequest;
      const sent = watched(world);
      const shown = await preview(world.desk, ADMIN, { outcome: "job", request });
      if (!shown.ok) throw new Error(JSON.stringify(shown));
      expect([shown.value.problems, sent]).toEqual([[], []]);
      await world.submit(request);
      await world.drain();
      const told = shown.value.requests.map(({ method, url, json, form, file }) => ({
        method,
        url,
        sent: json ?? { ...form, ...(file === undefined ? {} : { file: file.content }) },
      }));
      // A token of its own is in each ping address.
      const unpinged = (value: unknown) =>
        JSON.parse(JSON.stringify(alike(value)).replaceAll(/(\/pings\/[^/]+\/JOB\/)[\w-]+/g, "$1T"));
      expect(unpinged(sent)).toEqual(unpinged(told));
      expect(sent.length).toBeGreaterThan(0);
      for (const { headers } of shown.value.requests) expect(Object.keys(headers)).not.toContain("authorization");
    }),
  );

  it("of a download shows the staging request", () =>
    inWorldOf(api, async (world) => {
      const request = { direction: "download", system: "cluster", path: "/home/alice/out.bin", key: "k" } as const;
      const shown = await preview(world.desk, ADMIN, { outcome: "transfer", request });
      if (!shown.ok) throw new Error(JSON.stringify(shown));
      expect(shown.value.problems).toEqual([]);
      expect(JSON.stringify(shown.value.requests[0])).toContain("/home/alice/out.bin");
      expect(world.house.rows("SELECT * FROM transfers")).toEqual([]);
    }));

  it("of what would be refused shows why, and no request", () =>
    inWorldOf(api, async (world) => {
      const request = { system: "nowhere", script: "echo\n" } as JobRequest;
      const shown = await preview(world.desk, ADMIN, { outcome: "job", request });
      expect(shown.ok && shown.value).toMatchObject({
        requests: [],
        problems: expect.arrayContaining([
          expect.objectContaining({ field: "/script" }),
          expect.objectContaining({ field: "/system" }),
        ]),
      });
    }));
});

async function inWorldOf(api: "v1" | "v2", scenario: (world: World) => Promise<void>): Promise<void> {
  const { env, runInDurableObject } = await import("cloudflare:test");
  const stub = env.TRACKER.getByName(`trial-${api}-${crypto.randomUUID()}`);
  await runInDurableObject(stub, async (_, state) => scenario(await World.create(state, env, { api })));
}

describe("what a hook starts", () => {
  it("is looked at when the hook is saved: its system, and where its callbacks go", () =>
    inWorldOf("v1", async (world) => {
      const job = { system: "clutser", script: "#!/bin/sh\n", callbacks: [{ url: "https://10.0.0.1/" }] };
      expect(targetProblems(world.desk, ADMIN, { job }).map(({ field }) => field)).toEqual([
        "/target/job/system",
        "/target/job/callbacks/0/url",
      ]);
      const transfer = { direction: "download", system: "clutser", path: "/x", key: "k" };
      expect(targetProblems(world.desk, ADMIN, { transfer })).toEqual([
        { field: "/target/transfer/system", message: "is not a system of this connection; it has cluster" },
      ]);
      expect(targetProblems(world.desk, ADMIN, { job: { ...job, system: "cluster", callbacks: [] } })).toEqual([]);
    }));
});

describe("what is kept of a hook's past", () => {
  const hookOf = (name: string): HookRequestBody => ({
    source: "bearer",
    secrets: ["t"],
    target: { job: { system: "cluster", script: "#!/bin/sh\n", name } },
  });
  const put = (world: World, name: string) => hooks.putHook(world.house, world.desk.seal, ADMIN, "h", hookOf(name), {});
  const started: Started = { outcome: "job", request: { system: "cluster", script: "#!/bin/sh\n" } as JobRequest };
  const inbound = (version: number): VerifiedInbound => ({
    bodySha256: "x",
    body: "{}",
    headers: { "x-kind": "a" },
    claims: { sub: "me" },
    version,
    origin: {},
    result: started,
  });

  it("is every version until a week after it was replaced, and the one that counts", () =>
    inWorld(async (world) => {
      for (const name of ["one", "two"]) await put(world, name);
      const targetOf = (version: number) => {
        const found = hooks.hookVersion(world.house, ADMIN, "h", version);
        return found.ok ? (found.value.target as { job: { name: string } }).job.name : found.code;
      };
      expect([targetOf(1), targetOf(2), targetOf(3)]).toEqual(["one", "two", "not_found"]);
      await world.firecrest.clock.advance(8 * DAY_MS);
      world.house.change(() => retire(world.house));
      expect([targetOf(1), targetOf(2)]).toEqual(["not_found", "two"]);
      hooks.removeHook(world.house, ADMIN, "h", {});
      await put(world, "three");
      expect([targetOf(2), targetOf(3)]).toEqual(["two", "three"]);
    }));

  it("of a hook that never was there are none: it is not found", () =>
    inWorld(async (world) => {
      expect(hooks.hookRequests(world.house, ADMIN, "never", {})).toMatchObject({ code: "not_found" });
      await put(world, "one");
      expect(hooks.hookRequests(world.house, ADMIN, "h", {})).toMatchObject({ value: { items: [] } });
    }));

  it("of a request are body, headers and claims for a week, then none of them", () =>
    inWorld(async (world) => {
      await put(world, "one");
      await hooks.acceptFromHook(world.desk, "h", inbound(1));
      const requests = hooks.hookRequests(world.house, ADMIN, "h", {});
      const request = requests.ok ? requests.value.items[0] : undefined;
      const look = () => hooks.hookRequest(world.house, ADMIN, "h", request?.id ?? "");
      expect(look()).toMatchObject({
        value: { body: "{}", headers: { "x-kind": "a" }, claims: { sub: "me" }, version: 1 },
      });
      await world.firecrest.clock.advance(8 * DAY_MS);
      world.house.change(() => retire(world.house));
      const later = look();
      expect(later.ok && Object.keys(later.value)).toEqual(["id", "hook", "at", "outcome", "jobId", "version"]);
      expect(world.house.row<{ doc: string }>("SELECT doc FROM inbound")?.doc).not.toMatch(/x-kind|sub/);
    }));
});
