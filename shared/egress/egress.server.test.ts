import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEgress, type FetchOptions } from "./egress.ts";
import { failure } from "./testing.ts";

const OPTIONS: FetchOptions = { purpose: "callback" };

describe("against a real server", () => {
  let server: Server;
  let base: string;
  const open = new Set<ServerResponse>();
  const hits: string[] = [];
  const egress = createEgress({
    fetch: (url, init) => fetch(url, init),
    now: () => Date.now(),
    allow: { cidrs: ["127.0.0.0/8"], hosts: [] },
  });

  beforeAll(async () => {
    server = createServer((request, response) => {
      hits.push(request.url ?? "");
      open.add(response);
      response.on("close", () => open.delete(response));
      if (request.url === "/drip") {
        response.write("x");
      } else if (request.url === "/huge") {
        const chunk = Buffer.alloc(65_536, 65);
        const more = (): void => {
          while (response.write(chunk));
        };
        response.on("drain", more);
        more();
      } else if (request.url === "/redirect") {
        response.writeHead(302, { location: "/target" }).end();
      } else if (request.url !== "/silent") {
        response.end("ok");
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it.each(["/silent", "/drip"])("%s costs no more than the deadline, and the connection is closed", async (path) => {
    const started = performance.now();
    expect(
      await failure(egress.fetch(base + path, { method: "POST", body: "{}" }, { ...OPTIONS, deadlineMs: 200 })),
    ).toMatchObject({ code: "timeout" });
    expect(performance.now() - started).toBeLessThan(2000);
    await expect.poll(() => open.size).toBe(0);
  });

  it("an endless body costs no more than the limit, and the connection is closed", async () => {
    const answer = await egress.fetch(`${base}/huge`, { method: "POST", body: "{}" }, OPTIONS);
    expect([answer.status, answer.truncated, answer.body.length]).toEqual([200, true, 65_536]);
    await expect.poll(() => open.size).toBe(0);
  });

  it("a redirect's target is never visited", async () => {
    const answer = await egress.fetch(`${base}/redirect`, { method: "POST", body: "{}" }, OPTIONS);
    expect([answer.status, answer.headers.get("location")]).toEqual([302, "/target"]);
    expect(hits).not.toContain("/target");
  });
});
