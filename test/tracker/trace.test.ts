/** What ties a callback to the request that its job came with, and one log line to everything else about its unit of work. */
import { env, runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { acceptJob } from "../../workers/poller/accept.ts";
import { listDeliveries } from "../../workers/poller/deliveries.ts";
import { inWorld, World } from "./world.ts";

const CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

it("a callback carries the trace of the request that its job came with, each attempt a span of its own, kept in the log of attempts", () =>
  inWorld(async (world) => {
    let answers = 0;
    await world.receive("all", () => new Response(null, { status: answers++ === 0 ? 500 : 204 }), ["*"]);
    const accepted = await acceptJob(
      world.desk,
      { name: "admin" },
      {
        system: "cluster",
        script: "#!/bin/bash -l\n#FAKE write out.txt hello\n",
        outputs: [{ path: "out.txt" }],
      },
      { origin: { traceparent: CAME } },
    );
    if (!accepted.ok) throw new Error(JSON.stringify(accepted));
    const { id } = accepted.value.job;
    await world.until(() => world.job(id).settledAt !== undefined);
    await world.live(120_000);
    // Events of its output are of the same trace.
    expect(world.hits.some(({ body }) => body.includes('"type":"transfer.stored"'))).toBe(true);
    const spans = world.hits.map(({ headers }) => headers.traceparent ?? "");
    for (const span of spans) expect(span).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    expect(new Set([...spans, CAME]).size).toBe(spans.length + 1);
    const attempts = listDeliveries(world.house, {}).items.flatMap((delivery) => delivery.attempts);
    expect(attempts.map(({ traceparent }) => traceparent).toSorted()).toEqual(spans.toSorted());
  }));

it("nothing is made up where the request named no trace", () =>
  inWorld(async (world) => {
    await world.receive("all", () => new Response(null, { status: 204 }), ["*"]);
    const { id } = await world.submit({});
    await world.until(() => world.job(id).settledAt !== undefined);
    expect(world.hits.length).toBeGreaterThan(0);
    for (const { headers } of world.hits) expect(headers).not.toHaveProperty("traceparent");
  }));

it("a poll round is one line, with what it asked for, what it saw, how long it took, and the site's ids of its requests", async () => {
  const lines: Record<string, unknown>[] = [];
  await runInDurableObject(env.TRACKER.getByName("wide-lines"), async (_tracker, state) => {
    const world = await World.create(state, env, { api: "v2", log: (line) => void lines.push(line) });
    const { id } = await world.submit({});
    await world.until(() => world.job(id).settledAt !== undefined);
  });
  const rounds = lines.filter(({ event }) => event === "round");
  expect(rounds.length).toBeGreaterThan(1);
  for (const { requestIds, requests, ...line } of rounds) {
    expect(line).toMatchObject({ system: "cluster", jobs: 1, durationMs: expect.any(Number) });
    expect(requestIds).toHaveLength(requests as number);
    expect((requestIds as string[])[0]).toMatch(/^[\w.:-]+$/);
  }
});
