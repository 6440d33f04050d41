/**
 * The way up through the real Workers: a webhook starts a job whose inputs come from R2 and from a web server, and what the job
 * makes of them is what went in, byte for byte. Large files and empty ones go the same ways.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deploy, eventually } from "./deployment.ts";

const MIB = 1024 * 1024;
const SENDER = `whsec_${randomBytes(32).toString("base64")}`;
const MESH = randomBytes(6 * MIB + 11);
const DECK = randomBytes(9 * MIB + 1);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let firewatch: Deployment;
let elsewhere: Server;
let origin: string;
/** What the web server was asked with. */
const asked: Record<string, unknown>[] = [];

/** Serves the deck behind a redirect, without telling its length. */
async function startServer(): Promise<void> {
  elsewhere = createServer((request, response) => {
    asked.push({ ...request.headers, path: request.url });
    if (request.url?.startsWith("/latest") === true) {
      response.writeHead(302, { location: "/v2/deck.bin" }).end();
      return;
    }
    response.writeHead(200, { "content-type": "application/octet-stream" });
    for (let at = 0; at < DECK.length; at += 100_000) response.write(DECK.subarray(at, at + 100_000));
    response.end();
  });
  elsewhere.listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  origin = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  await startServer();
  firewatch = await deploy({ apis: ["v1", "v2"] });
});
afterAll(async () => {
  await firewatch?.stop();
  elsewhere?.close();
});

/** Sends a signed webhook to the hook `run` of a connection. */
function trigger(connection: string, payload: unknown) {
  const [id, now, raw] = [`msg_${connection}`, new Date(), JSON.stringify(payload)];
  const headers = {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(SENDER).sign(id, now, raw),
  };
  return firewatch.call("POST", `/hooks/${connection}/run`, { raw, headers, token: null });
}

describe.each(["local-v1", "local-v2"])("on %s", (name) => {
  const at = (path: string) => `${firewatch.connections[name]?.url}/${path}`;
  const call = (method: string, path: string, body?: unknown) =>
    firewatch.call(method, at(path), { token: firewatch.connections[name]?.apiKey ?? "", body });
  const put = async (key: string, bytes: Uint8Array<ArrayBuffer>) => {
    const response = await fetch(at(`objects/${key}`), {
      method: "PUT",
      headers: { authorization: `Bearer ${firewatch.connections[name]?.apiKey}` },
      body: bytes,
    });
    expect(response.ok).toBe(true);
  };
  const ended = (id: string) =>
    eventually(
      async () => {
        const { body } = await call("GET", `transfers/${id}`);
        const isOver = ["stored", "failed", "cancelled"].includes(body.status);
        return isOver && !["owed", "releasing"].includes(body.link.state) ? body : undefined;
      },
      `the end of ${id}`,
      80_000,
    );

  it("a webhook's job finds its inputs from R2 and from the web, and gives back what went in", async () => {
    await put("inputs/mesh.bin", new Uint8Array(MESH));
    const hook = {
      source: "standard-webhooks",
      secrets: [SENDER],
      params: {
        mesh: { from: "/mesh", type: "string" },
        deck: { from: "/deck", type: "string" },
      },
      target: {
        job: {
          system: "cluster",
          script: "#!/bin/bash -l\ncat mesh.bin data/deck.bin > both.bin\n",
          inputs: [
            { key: "{mesh}", path: "mesh.bin" },
            { url: "{deck}", path: "data/deck.bin" },
          ],
          outputs: [{ path: "both.bin", key: `${name}/both.bin` }],
        },
      },
    };
    expect((await call("PUT", "hooks/run", hook)).status).toBe(201);
    const payload = { mesh: "inputs/mesh.bin", deck: `${origin}/latest?token=s3cret` };
    const answer = await trigger(name, payload);
    expect(answer.body.outcome).toBe("accepted");

    const job = await eventually(
      async () => {
        const { body } = await call("GET", `jobs/${answer.body.jobId}?wait=20&until=settled`);
        return body.settledAt === undefined ? undefined : body;
      },
      "the job",
      80_000,
    );
    expect(job).toMatchObject({ status: "succeeded", inputs: [{ status: "stored" }, { status: "stored" }] });
    const { body: listed } = await call("GET", `transfers?job=${answer.body.jobId}`);
    const uploads = listed.items.filter(({ direction }: { direction: string }) => direction === "upload");
    expect(uploads.map(({ proof }: { proof: string }) => proof)).toEqual(["hash", "hash"]);
    expect(uploads.find(({ key }: { key: string }) => key === "").url).toBe(`${origin}/latest`);

    const result = await fetch(at(`objects/${name}/both.bin`), {
      headers: { authorization: `Bearer ${firewatch.connections[name]?.apiKey}` },
    });
    expect(sha256(new Uint8Array(await result.arrayBuffer()))).toBe(sha256(Buffer.concat([MESH, DECK])));
    expect(asked.every((headers) => headers.authorization === undefined && headers.cookie === undefined)).toBe(true);
  });

  it.each([0, 1, 17 * MIB + 5])("an upload of %i bytes is the same file on the machine", async (size) => {
    const bytes = new Uint8Array(randomBytes(size));
    await put(`up-${size}`, bytes);
    const { body: system } = await call("GET", "systems/cluster");
    const directory = `${system.fileSystems[0].path}/${firewatch.firecrest.user}/up-${name}-${size}`;
    expect((await call("POST", "systems/cluster/files/mkdir", { path: directory, parents: true })).status).toBeLessThan(
      300,
    );
    const { body, status } = await call("POST", "transfers", {
      direction: "upload",
      system: "cluster",
      key: `up-${size}`,
      path: `${directory}/file`,
    });
    expect(status).toBe(202);
    const transfer = await ended(body.id);
    expect(transfer).toMatchObject({ status: "stored", proof: "hash", bytes: size, sha256: sha256(bytes) });
    expect(sha256(await readFile(transfer.path))).toBe(sha256(bytes));
    const again = await call("POST", "transfers", {
      direction: "upload",
      system: "cluster",
      key: `up-${size}`,
      path: `${directory}/file`,
    });
    expect(await ended(again.body.id)).toMatchObject({ status: "failed", reason: "target_exists" });
  });

  it("shows no link, no query and no token in its logs", () => {
    const everything = firewatch.logs.join("\n");
    expect(everything).not.toContain("s3cret");
    expect(everything).not.toMatch(/X-Amz-Signature=[0-9a-f]/i);
    expect(everything).not.toMatch(/eyJ[A-Za-z0-9_-]{20,}/);
  });
});
