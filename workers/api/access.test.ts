/** What stands around every route: words that help, limits that are told, and browsers that can do nothing. */
import { beforeEach, describe, expect, it } from "vitest";
import { ADMIN_TOKEN, createWorld, problemIn, type World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const LAB = "/v1/connections/lab";
const JOB = { system: "daint", script: "#!/bin/sh\n" };
const HOOK = { source: "bearer", secrets: ["t"], target: { job: JOB } };

describe("a refusal", () => {
  it("of a Tracker that names fields says in one sentence what is wrong", async () => {
    world.lab.acceptJob = async () => ({
      ok: false,
      code: "invalid",
      errors: [
        { field: "/system", message: "is not a system of this connection" },
        { field: "/script", message: "has no #! line" },
      ],
    });
    const response = await world.send(`${LAB}/jobs`, { method: "POST", token: world.apiKey, body: JOB });
    expect(await problemIn(response)).toMatchObject({
      status: 422,
      detail: "/system is not a system of this connection (and 1 more)",
    });
  });

  it("of a Tracker keeps the words that it came with", async () => {
    world.lab.acceptJob = async () => ({ ok: false, code: "forbidden", detail: "This needs the scope jobs:write. …" });
    const response = await world.send(`${LAB}/jobs`, { method: "POST", token: world.apiKey, body: JOB });
    expect(await problemIn(response)).toMatchObject({ status: 403, detail: "This needs the scope jobs:write. …" });
  });

  it("for what is not there says where to look", async () => {
    for (const path of [`${LAB}/jobs/job_00000000000000000000000000`, `${LAB}/nothing`, "/nothing"])
      expect(await problemIn(await world.send(path, { token: world.apiKey }))).toMatchObject({
        status: 404,
        detail: expect.stringContaining("/docs"),
      });
  });
});

describe("a query", () => {
  it("with a cursor that no page gave is refused, not answered with nothing", async () => {
    for (const list of ["jobs", "transfers", "deliveries", "links", "hooks/h/requests", "audit"]) {
      const response = await world.send(`${LAB}/${list}?cursor=zzz`, { token: ADMIN_TOKEN });
      expect(await problemIn(response)).toMatchObject({
        status: 422,
        detail: "?cursor must be the cursor that the page before gave",
      });
    }
  });

  it("that gives a parameter twice is told so", async () => {
    const response = await world.send(`${LAB}/jobs?limit=1&limit=2`, { token: world.apiKey });
    expect(await problemIn(response)).toMatchObject({
      status: 422,
      errors: [{ field: "limit", message: "must be given once" }],
    });
  });

  it("of events may say cursor, as that of every other list", async () => {
    const asked: unknown[] = [];
    world.lab.events = async (_caller, query) => {
      asked.push(query);
      return { ok: true, value: { items: [] } };
    };
    await world.send(`${LAB}/events?cursor=7`, { token: world.apiKey });
    expect(asked).toEqual([{ cursor: 7 }]);
  });
});

describe("a name that no connection can have", () => {
  it("is refused with what names look like where one is made, and is nowhere else", async () => {
    const put = await world.send("/v1/connections/UP", { method: "PUT", token: ADMIN_TOKEN, body: {} });
    expect(await problemIn(put)).toMatchObject({ status: 422, errors: [{ field: "/c" }] });
    expect((await world.send("/v1/connections/UP", { token: ADMIN_TOKEN })).status).toBe(404);
  });
});

describe("limits", () => {
  const quota = (response: Response) => [
    response.headers.get("ratelimit-policy"),
    response.headers.get("ratelimit"),
    response.headers.get("retry-after"),
  ];

  it("of a key are told in each answer, counting down", async () => {
    const get = () => world.send(`${LAB}/jobs`, { token: world.apiKey });
    const [first, second] = [await get(), await get()];
    expect(quota(first)[0]).toBe('"callers";q=600;w=60');
    expect(quota(first)[1]).toMatch(/^"callers";r=599;t=\d+$/);
    expect(quota(second)[1]).toMatch(/^"callers";r=598;t=\d+$/);
    const other = await world.send(`${LAB}/jobs`, { token: await world.keyWith("jobs:read") });
    expect(quota(other)[1]).toMatch(/r=599/);
  });

  it("of a hook are told to whoever is believed, and end in 429 with the seconds to wait", async () => {
    await world.send(`${LAB}/hooks/h`, { method: "PUT", token: world.apiKey, body: { ...HOOK, ratePerMinute: 1 } });
    world.clock.now = Math.ceil(world.clock.now / 60_000) * 60_000 + 20_000;
    const send = (token: string) => world.send("/hooks/lab/h", { method: "POST", token, body: {} });
    expect(quota(await send("wrong"))).toEqual([null, null, null]);
    expect(quota(await send("t"))).toEqual(['"hook";q=1;w=60', '"hook";r=0;t=40', null]);
    const refused = await send("t");
    expect([refused.status, ...quota(refused)]).toEqual([429, '"hook";q=1;w=60', '"hook";r=0;t=40', "40"]);
    world.clock.now += 40_000;
    expect((await send("t")).status).toBe(202);
  });

  it("are not in the log", async () => {
    await world.send(`${LAB}/jobs`, { token: world.apiKey });
    expect(world.lines.at(-1)).not.toHaveProperty("quota");
  });
});

describe("a page of another origin", () => {
  const origin = "https://evil.example";

  it("is given no CORS header, whatever it asks, and no preflight succeeds", async () => {
    await world.send(`${LAB}/hooks/h`, { method: "PUT", token: world.apiKey, body: HOOK });
    for (const path of [`${LAB}/jobs`, "/hooks/lab/h", "/openapi.json", "/health", "/v1/connections"]) {
      const preflight = await world.send(path, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization,content-type",
        },
      });
      expect(preflight.status).toBe(405);
      const answer = await world.send(path, { token: world.apiKey, headers: { origin } });
      for (const response of [preflight, answer])
        expect([...response.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
    }
  });

  it("can do nothing with a form: no cookie stands for anybody, and what it may send opens nothing", async () => {
    await world.send(`${LAB}/hooks/h`, { method: "PUT", token: world.apiKey, body: HOOK });
    world.lab.calls.length = 0;
    // The three content types and the headers that a browser sends without asking first.
    for (const type of ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
      for (const path of [`${LAB}/jobs`, `${LAB}/hooks/h/dry-run`, `${LAB}/keys`, "/v1/admin/reseal", "/hooks/lab/h"]) {
        const response = await world.send(path, {
          method: "POST",
          body: '{"system":"daint","script":"#!/bin/sh\\n"}',
          headers: { origin, "content-type": type, cookie: `session=${world.apiKey}; token=${world.apiKey}` },
        });
        expect([401, 415]).toContain(response.status);
      }
    expect([world.lab.heldJobs.size, world.lab.heldKeys.size, world.lab.calls]).toEqual([0, 1, []]);
  });

  it("is never given a cookie", async () => {
    for (const path of [`${LAB}/jobs`, "/docs", "/", "/health"])
      expect((await world.send(path, { token: world.apiKey })).headers.has("set-cookie")).toBe(false);
  });
});
