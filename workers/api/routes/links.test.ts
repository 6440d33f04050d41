import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createWorld, problemIn, type World } from "../testing/world.ts";

let miniflare: Miniflare;
let bucket: R2Bucket;
let world: World;

beforeAll(async () => {
  miniflare = new Miniflare(
    convertV4MiniflareOptions({ modules: true, script: "export default {}", r2Buckets: ["OBJECTS"], cf: false }),
  );
  bucket = (await miniflare.getR2Bucket("OBJECTS")) as unknown as R2Bucket;
});
afterAll(() => miniflare.dispose());
beforeEach(async () => {
  world = await createWorld({ objects: bucket });
  await bucket.put("lab/runs/secret project/out.html", "0123456789", { httpMetadata: { contentType: "text/html" } });
});

const LINKS = "/v1/connections/lab/links";
const KEY = "runs/secret project/out.html";
const share = async (body: object = { key: KEY }) => world.send(LINKS, { method: "POST", token: world.apiKey, body });
const shared = async (body?: object) => (await (await share(body)).json()) as { id: string; url: string };
const pathOf = ({ url }: { url: string }) => new URL(url).pathname;

describe("a share link", () => {
  it("gives everybody who has it the bytes, in ranges too, as an attachment that no browser runs", async () => {
    const answer = await share();
    expect(answer.status).toBe(201);
    const link = (await answer.json()) as { id: string; url: string };
    expect(link).toMatchObject({ key: KEY, expiresAt: expect.any(String) });
    const whole = await world.send(pathOf(link));
    expect([whole.status, await whole.text()]).toEqual([200, "0123456789"]);
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      "content-disposition": `attachment; filename="out.html"; filename*=UTF-8''out.html`,
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
      "accept-ranges": "bytes",
    });
    const part = await world.send(pathOf(link), { headers: { range: "bytes=2-4" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 2-4/10", "234"]);
    expect((await world.send(pathOf(link), { headers: { range: "bytes=10-" } })).status).toBe(416);
    const head = await world.send(pathOf(link), { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "10", ""]);
    const etag = whole.headers.get("etag") ?? "";
    expect((await world.send(pathOf(link), { headers: { "if-none-match": etag } })).status).toBe(304);
  });

  it("tells neither connection nor folder, in its address or in any header", async () => {
    const link = await shared();
    const { headers } = await world.send(pathOf(link));
    const told = `${link.url} ${JSON.stringify([...headers])}`;
    for (const word of ["lab", "runs", "secret"]) expect(told.replace(/available/g, "")).not.toContain(word);
  });

  it("answers one and the same 404 whatever keeps it from opening", async () => {
    const revoked = await shared();
    expect((await world.send(`${LINKS}/${revoked.id}`, { method: "DELETE", token: world.apiKey })).status).toBe(204);
    await bucket.put("lab/gone", "x");
    const gone = await shared({ key: "gone" });
    await bucket.delete("lab/gone");
    await bucket.put("lab/replaced", "one");
    const etag = (await bucket.head("lab/replaced"))?.httpEtag;
    const replaced = await shared({ key: "replaced", etag });
    await bucket.put("lab/replaced", "two");
    const paths = [pathOf(revoked), pathOf(gone), pathOf(replaced), "/links/unknown", "/links/a.b.c.d.e", "/links/%00"];
    const answers = await Promise.all(
      paths.map(async (path) => {
        const response = await world.send(path);
        return { status: response.status, headers: [...response.headers], body: await response.text() };
      }),
    );
    expect(answers[0]?.status).toBe(404);
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    const methods = await Promise.all(paths.map((path) => world.send(path, { method: "PUT" })));
    expect(new Set(methods.map(({ status }) => status))).toEqual(new Set([405]));
  });

  it("is made for an object that is there, in the version that was meant, by those who may write", async () => {
    expect((await share({ key: "nothing" })).status).toBe(404);
    expect((await share({ key: KEY, etag: '"another"' })).status).toBe(412);
    expect((await share({ key: "../lab2/x" })).status).toBe(422);
    for (const expiresInSeconds of [0, 59, 31_536_001, 1.5])
      expect((await share({ key: KEY, expiresInSeconds })).status).toBe(422);
    const reader = await world.keyWith("transfers:read");
    expect((await world.send(LINKS, { method: "POST", token: reader, body: { key: KEY } })).status).toBe(403);
    expect((await world.send(LINKS, { method: "POST", body: { key: KEY } })).status).toBe(401);
    expect(world.lab.heldLinks.size).toBe(0);
  });

  it("is listed without its address", async () => {
    const { id } = await shared();
    const list = await (await world.send(LINKS, { token: await world.keyWith("transfers:read") })).json();
    expect(list).toMatchObject({ items: [{ id, key: KEY }] });
    expect(JSON.stringify(list)).not.toMatch(/token|url/);
    expect((await world.send(`${LINKS}/lnk_x`, { method: "DELETE", token: world.apiKey })).status).toBe(404);
  });

  it("is counted against the address that asks, before anything is looked up", async () => {
    world.limits.callers.quota = 3;
    const ask = () => world.send("/links/guess", { headers: { "cf-connecting-ip": "192.0.2.7" } });
    const answers = await Promise.all([ask(), ask(), ask(), ask()]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 429]);
    expect((await problemIn(answers[3] as Response)).code).toBe("rate_limited");
  });

  it("opens on the objects' own host, where one is set", async () => {
    world = await createWorld({ objects: bucket, objectsHost: "objects.test" });
    const link = await shared();
    expect(link.url).toMatch(/^https:\/\/objects\.test\/links\//);
    expect(await (await world.app.request(link.url)).text()).toBe("0123456789");
    const moved = await world.send(pathOf(link));
    expect([moved.status, moved.headers.get("location")]).toEqual([307, link.url]);
  });

  it("stays out of the log", async () => {
    const link = await shared();
    await world.send(pathOf(link));
    expect(JSON.stringify(world.lines)).not.toContain(pathOf(link).slice("/links/".length));
    expect(world.lines.at(-1)).toMatchObject({ route: "openLink", connection: "lab", status: 200 });
  });
});
