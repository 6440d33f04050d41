import { describe, expect, it } from "vitest";
import { fakeSite, json, page } from "./fake-site.ts";

describe("a v1 site's services", () => {
  const row = (service: string, status = "available") => ({
    service,
    status,
    status_code: 200,
    description: "running",
  });
  const ack = () => json(200, { success: "ack" });

  it("are as the site's own checks found them, all or one, read past its cache", async () => {
    const site = fakeSite({
      "GET /status/services": () =>
        json(200, { description: "x", out: [row("compute"), row("storage", "not available"), {}] }),
      "GET /status/services/compute": () => json(200, row("compute")),
    });
    const compute = { name: "compute", available: true, description: "running" };
    expect(await site.client.services()).toEqual([
      compute,
      { name: "storage", available: false, description: "running" },
    ]);
    expect(await site.client.service("compute")).toEqual(compute);
    expect(site.requests.every(({ headers }) => headers.get("cache-control") === "no-cache")).toBe(true);
  });

  it("are known by name: another is not found, and what is no name never leaves", async () => {
    const site = fakeSite({
      "GET /status/services/nope": () => json(404, { description: "Service does not exists", status_code: 404 }),
    });
    await expect(site.client.service("nope")).rejects.toMatchObject({ code: "not_found", retry: "never" });
    await expect(site.client.service("../parameters")).rejects.toMatchObject({ code: "not_found" });
    expect(site.calls()).toEqual(["GET /status/services/nope"]);
  });

  it("each answer for themselves: one that is down or left out does not harm the others", async () => {
    const site = fakeSite({
      "GET /compute/status": ack,
      "GET /storage/status": () => page(502),
      "GET /utilities/status": ack,
    });
    expect((await site.client.heartbeats()).filter(({ alive }) => alive).map(({ name }) => name)).toEqual([
      "compute",
      "utilities",
    ]);
  });

  it("say nothing about their life where nobody may ask", async () => {
    const site = fakeSite({ "GET /compute/status": () => json(429, {}) });
    await expect(site.client.heartbeats()).rejects.toMatchObject({ code: "rate_limited", retry: "later" });
  });
});
