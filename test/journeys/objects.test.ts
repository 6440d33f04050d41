/** What becomes of bytes, through the real Workers: shared with somebody, and shown to somebody else by a receipt. */
import { createPublicKey, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { followProgress } from "../../local/progress.ts";
import type { Progress } from "../../shared/contract/transfer.ts";
import { type Deployment, deploy, eventually } from "./deployment.ts";

let firewatch: Deployment;

beforeAll(async () => {
  firewatch = await deploy();
});
afterAll(() => firewatch?.stop());

const put = (key: string, raw: string) =>
  firewatch.call("PUT", `objects/${key}`, { raw, headers: { "content-type": "text/plain" } });

describe("a share link", () => {
  it("opens for somebody without a credential, in ranges, until it is revoked", async () => {
    expect((await put("runs/42/out.txt", "0123456789")).status).toBe(201);
    const { status, body: link } = await firewatch.call("POST", "links", { body: { key: "runs/42/out.txt" } });
    expect(status).toBe(201);
    expect(link.url.startsWith(`${firewatch.url}/links/`)).toBe(true);
    expect(link.url).not.toMatch(/local-v1|out/);
    const open = (headers: Record<string, string> = {}) => firewatch.call("GET", link.url, { token: null, headers });
    expect(await open()).toMatchObject({ status: 200, text: "0123456789" });
    expect(await open({ range: "bytes=-3" })).toMatchObject({ status: 206, text: "789" });
    expect((await firewatch.call("DELETE", `links/${link.id}`)).status).toBe(204);
    const closed = await open();
    const unknown = await firewatch.call("GET", "/links/nothing", { token: null });
    expect([closed.status, closed.text]).toEqual([404, unknown.text]);
    expect(firewatch.logs.join("\n")).not.toContain(link.url.split("/").at(-1));
  });
});

describe("progress", () => {
  it("of a real copy comes as frames without ids on the event stream, up to its last byte", async () => {
    const shown: Progress[] = [];
    const stop = followProgress(firewatch.connection.url, firewatch.connection.apiKey, (frame) => shown.push(frame));
    const { body: job } = await firewatch.call("POST", "jobs", {
      body: {
        system: "cluster",
        script: "#!/bin/bash -l\nhead -c 5000000 /dev/zero > big.dat\n",
        outputs: [{ path: "big.dat", key: "progress/big.dat" }],
      },
    });
    await firewatch.settled(job.id);
    const last = await eventually(() => shown.find(({ bytes }) => bytes === 5_000_000), "the last frame");
    stop();
    expect(last).toMatchObject({ job: job.id, totalBytes: 5_000_000, remainingSeconds: 0 });
    expect(last.bytesPerSecond).toBeGreaterThan(0);
    expect(shown[0]).toMatchObject({ bytes: 0, totalBytes: 5_000_000 });
    const { body: transfer } = await firewatch.call("GET", `transfers/${last.transfer}`);
    expect(transfer).not.toHaveProperty("bytesPerSecond");
  });
});

describe("a receipt", () => {
  it("of a real job's output verifies with nothing but the published key", async () => {
    const { body: job } = await firewatch.call("POST", "jobs", {
      body: {
        system: "cluster",
        script: "#!/bin/bash -l\necho hello > out.txt\n",
        outputs: [{ path: "out.txt", key: "receipt/out.txt" }],
      },
    });
    const settled = (await firewatch.settled(job.id)) as { outputs: { transferId: string }[] };
    const id = settled.outputs[0]?.transferId;
    const path = `transfers/${id}/receipt`;
    const receipt = await eventually(async () => {
      const { body } = await firewatch.call("GET", path, { headers: { accept: "application/json" } });
      return body.receipt.releasedAt === undefined ? undefined : body.receipt;
    }, "the release of the link");
    const answer = await firewatch.call("GET", path);
    expect(answer.headers.get("content-type")).toBe("application/jose");
    const [header = "", payload = "", signature = ""] = answer.text.split(".");
    const read = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
    const { body: set } = await firewatch.call("GET", "/.well-known/webhook-keys/local-v1", { token: null });
    const jwk = set.keys.find(({ kid }: { kid: string }) => kid === read(header).kid);
    const key = createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: "jwk" });
    expect(verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url"))).toBe(true);
    expect(read(payload)).toEqual({ ...receipt, issuedAt: expect.any(String) });
    expect(read(payload)).toMatchObject({ key: "receipt/out.txt", proof: "hash", links: [{ state: "released" }] });
  });
});
