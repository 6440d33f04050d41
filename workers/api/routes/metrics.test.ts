import { describe, expect, it } from "vitest";
import { openMetrics } from "../openmetrics.ts";
import { ADMIN_TOKEN, createWorld } from "../testing/world.ts";

const TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

describe("metrics", () => {
  it("of one connection are told to its own keys, of all of them to ADMIN_TOKEN only", async () => {
    const world = await createWorld();
    const own = await world.send("/v1/connections/lab/metrics", { token: world.apiKey });
    expect([own.status, own.headers.get("content-type")]).toEqual([200, TYPE]);
    expect(await own.text()).toBe(
      '# TYPE firewatch_jobs gauge\n# HELP firewatch_jobs Jobs.\nfirewatch_jobs{connection="lab",status="queued"} 2\n# EOF\n',
    );
    expect((await world.send("/v1/connections/other/metrics", { token: world.apiKey })).status).toBe(403);
    expect((await world.send("/metrics", { token: world.apiKey })).status).toBeGreaterThanOrEqual(401);
    expect((await world.send("/metrics")).status).toBe(401);
    const all = await world.send("/metrics", { token: ADMIN_TOKEN });
    expect([all.status, all.headers.get("content-type")]).toEqual([200, TYPE]);
    expect((await all.text()).endsWith("# EOF\n")).toBe(true);
  });
});

describe("openMetrics", () => {
  it("writes each family once, whatever its connections, and escapes what labels hold", () => {
    const metric = {
      name: "firewatch_polls",
      type: "counter" as const,
      help: "Looks\nat the site.",
      samples: [{ labels: { what: 'a "quoted" \\ word' }, value: 1 }],
    };
    expect(
      openMetrics(
        new Map([
          ["a", [metric]],
          ["b", [metric]],
        ]),
      ),
    ).toBe(
      [
        "# TYPE firewatch_polls counter",
        "# HELP firewatch_polls Looks\\nat the site.",
        'firewatch_polls_total{connection="a",what="a \\"quoted\\" \\\\ word"} 1',
        'firewatch_polls_total{connection="b",what="a \\"quoted\\" \\\\ word"} 1',
        "# EOF",
        "",
      ].join("\n"),
    );
  });

  it("names the unit of what is measured", () => {
    const metric = {
      name: "firewatch_lag_seconds",
      type: "gauge" as const,
      unit: "seconds" as const,
      help: "Lag.",
      samples: [],
    };
    expect(openMetrics(new Map([["a", [metric]]]))).toContain("# UNIT firewatch_lag_seconds seconds\n");
  });
});
