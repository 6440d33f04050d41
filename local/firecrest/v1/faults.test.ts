import { describe, expect, it } from "vitest";
import { ConnectionLost } from "../gateway.ts";
import { Client, HOME, SCRIPT } from "./testing/client.ts";

describe("faults", () => {
  it("lose an answer after the effect, so that the job is there", async () => {
    const client = await Client.start();
    client.site.faults.add({ kind: "lost_answer", match: { method: "POST", path: "/compute/jobs/upload$" }, count: 1 });
    await expect(client.submit(SCRIPT)).rejects.toThrow(ConnectionLost);
    await expect.poll(async () => (await client.site.host.jobs()).length).toBe(1);
  });

  it("break a connection before any effect", async () => {
    const client = await Client.start();
    await client.token();
    client.site.faults.add({ kind: "down", match: { path: "/compute" } });
    await expect(client.submit(SCRIPT)).rejects.toThrow(ConnectionLost);
    client.site.faults.clear();
    expect(await client.site.host.jobs()).toEqual([]);
  });

  it("answer an error although the job was taken", async () => {
    const client = await Client.start();
    client.site.faults.add({
      kind: "effect_then_error",
      status: 502,
      match: { path: "/compute/jobs/upload" },
      count: 1,
    });
    const form = new FormData();
    form.set("file", new File([SCRIPT], "job.sh"));
    expect((await client.send("POST", "/compute/jobs/upload", { form })).status).toBe(502);
    await expect.poll(async () => (await client.site.host.jobs()).length).toBe(1);
  });

  it("limit the rate in the words and headers of both gateways", async () => {
    const client = await Client.start();
    const path = "/tasks";
    client.site.faults.add({ kind: "rate_limited", retryAfterSeconds: 7, count: 1, match: { path } });
    expect((await client.send("GET", path)).headers.get("retry-after")).toBe("7");
    client.site.faults.add({
      kind: "rate_limited",
      retryAfterSeconds: 90,
      form: "date",
      gateway: "wso2",
      count: 1,
      match: { path },
    });
    const wso2 = await client.send("GET", path);
    expect(wso2).toMatchObject({ status: 429, body: { code: "900803" } });
    expect(Date.parse(wso2.headers.get("retry-after") ?? "")).toBe(client.site.clock.now() + 90_000);
    client.site.faults.add({ kind: "rate_limited", retryAfterSeconds: 3, form: "reset", count: 1, match: { path } });
    expect((await client.send("GET", path)).headers.get("ratelimit-reset")).toBe("3");
    client.site.faults.add({ kind: "bad_gateway", count: 1, match: { path } });
    expect(await client.send("GET", path)).toMatchObject({ status: 502, body: expect.stringContaining("<html>") });
    expect((await client.send("GET", path)).status).toBe(200);
  });

  it("hold a task at 100, with or without its work", async () => {
    const client = await Client.start();
    client.site.faults.add({ kind: "task_stuck", match: { path: "/compute/jobs/upload" }, count: 1 });
    client.site.faults.add({ kind: "task_stuck", effect: true, match: { path: "/compute/jobs/upload" }, count: 1 });
    expect((await client.submit(SCRIPT)).status).toBe("100");
    expect(await client.site.host.jobs()).toHaveLength(0);
    expect((await client.submit(SCRIPT)).status).toBe("100");
    await expect.poll(async () => (await client.site.host.jobs()).length).toBe(1);
  });

  it("show young jobs as skeletons, or not at all", async () => {
    const client = await Client.start();
    const { jobid } = (await client.submit(`${SCRIPT}#FAKE sleep 60\n`)).data as { jobid: string };
    client.site.faults.add({ kind: "young_accounting", youngerThanMs: 3_000, count: 1 });
    expect((await client.task("GET", `/compute/acct?jobs=${jobid}`)).data).toMatchObject([
      { jobid, name: "allocation", partition: "", nodes: "0", state: "PENDING" },
    ]);
    client.site.faults.add({ kind: "young_accounting", rows: "missing", youngerThanMs: 3_000 });
    expect((await client.task("GET", `/compute/acct?jobs=${jobid}`)).data).toEqual({});
    await client.site.host.advance(5_000);
    expect((await client.task("GET", `/compute/acct?jobs=${jobid}`)).data).toMatchObject([{ state: "RUNNING" }]);
  });

  it("take the scheduler away with its own words", async () => {
    const client = await Client.start();
    client.site.faults.add({ kind: "scheduler_down" });
    expect(await client.submit(SCRIPT)).toMatchObject({
      status: "400",
      data: expect.stringContaining("Unable to contact slurm controller"),
    });
    expect(await client.task("GET", "/compute/acct")).toMatchObject({ status: "200" });
  });

  it("cut a staged read short and slow an answer down", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/f.txt`, "0123456789");
    const { url } = await client.stage(`${HOME}/f.txt`);
    client.site.faults.add({ kind: "staged_read_cut", bytes: 4, count: 1 });
    const reader = (await client.get(url)).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("0123");
    await expect(reader?.read()).rejects.toThrow();
    expect(await (await client.get(url)).text()).toBe("0123456789");

    client.site.faults.add({ kind: "slow", ms: 5_000, match: { path: "/tasks" }, count: 1 });
    let isAnswered = false;
    const slow = client.send("GET", "/tasks").then(() => {
      isAnswered = true;
    });
    await client.site.clock.advance(4_000);
    expect(isAnswered).toBe(false);
    await client.site.clock.advance(1_000);
    await slow;
  });

  it("strike the matching requests only, so often, after so many, with a repeatable chance", async () => {
    const client = await Client.start({ seed: 7 });
    client.site.faults.add({ kind: "error", match: { path: "/tasks" }, after: 1, count: 2 });
    const statuses: number[] = [];
    for (let request = 0; request < 5; request++) statuses.push((await client.send("GET", "/tasks")).status);
    expect(statuses).toEqual([200, 500, 500, 200, 200]);
    const run = async () => {
      const other = await Client.start({ seed: 7 });
      await other.token();
      other.site.faults.add({ kind: "error", probability: 0.5, match: { path: "/tasks" } });
      const seen: number[] = [];
      for (let request = 0; request < 20; request++) seen.push((await other.send("GET", "/tasks")).status);
      return seen;
    };
    const first = await run();
    expect(new Set(first)).toEqual(new Set([200, 500]));
    expect(await run()).toEqual(first);
  });
});
