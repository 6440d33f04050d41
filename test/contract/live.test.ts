/** The questions to live sites, asked of the embedded one. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningFirecrest, startFirecrest } from "../../local/firecrest/server.ts";
import { ask, type LiveSite, textOf } from "../live/ask.ts";
import { READINGS } from "./readings.ts";

let folder: string;
let server: RunningFirecrest;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "firewatch-live-"));
  server = await startFirecrest({ port: 0, dir: folder });
  await writeFile(join(folder, "cluster", "home", server.user, "small.txt"), "one\ntwo\n");
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

const siteOf = (api: "v1" | "v2"): LiveSite => {
  const { tokenUrl, clientId, clientSecret } = server;
  return {
    api,
    url: api === "v1" ? server.v1Url : server.v2Url,
    credential: { type: "client_credentials", tokenUrl, clientId, clientSecret },
  };
};

describe.each(["v1", "v2"] as const)("a live %s site", (api) => {
  it("is asked everything that can be read, and has no field that a recording lacks", async () => {
    const sent: string[] = [];
    const report = await ask(siteOf(api), (url, init) => {
      if (!url.includes("/auth/")) sent.push(init.method ?? "GET");
      return fetch(url, init);
    });
    expect(report.readings.map(({ title, problem }) => ({ title, problem }))).toEqual(
      READINGS.map(({ title }) => ({ title, problem: undefined })),
    );
    expect(report).toMatchObject({ system: "cluster", parameters: { version: api === "v1" ? "1.16.6" : "2.5.7" } });
    expect(report.unknownFields).toEqual({});
    expect(new Set(sent)).toEqual(new Set(["GET"]));
    expect(Object.keys(report.operations).length).toBeGreaterThan(8);
    expect(textOf(report)).toContain(`version ${report.parameters.version}`);
  });

  it("that answers more than we know is read all the same, and the report says what is new", async () => {
    const report = await ask(siteOf(api), async (url, init) => {
      const response = await fetch(url, init);
      if (!/\/status\/systems$/.test(url)) return response;
      const body = (await response.json()) as Record<string, Record<string, unknown>[]>;
      for (const system of body.out ?? body.systems ?? []) system.mood = { today: "good" };
      return Response.json(body, { headers: { "f7t-appversion": "2.9.0" } });
    });
    expect(report.readings.every(({ problem }) => problem === undefined)).toBe(true);
    const list = api === "v1" ? "out" : "systems";
    expect(report.unknownFields).toEqual({ "/status/systems": [`${list}[].mood`, `${list}[].mood.today`] });
    expect(textOf(report)).toContain("new fields in /status/systems");
  });
});

it("a live site that answers HTML is told apart from one that is understood", async () => {
  const html = async (url: string, init: RequestInit) =>
    /\/utilities\/whoami/.test(url)
      ? new Response("<html>", { headers: { "content-type": "text/html" } })
      : fetch(url, init);
  const report = await ask(siteOf("v1"), html);
  const problems = report.readings.filter(({ problem }) => problem !== undefined);
  expect(problems.map(({ title }) => title)).toContain("knows whose credential it has");
  expect(textOf(report)).toContain("FAILED  knows whose credential it has");
});
