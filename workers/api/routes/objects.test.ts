import { createHash } from "node:crypto";
import fc from "fast-check";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ObjectKey } from "../../../shared/contract/words.ts";
import { createWorld, problemIn, type Sent, type World } from "../testing/world.ts";

/** The real simulator of R2. A stream in Node has no length, as a request's body has in workerd: it is read first. */
function withLengths(bucket: R2Bucket): R2Bucket {
  const read = async (body: unknown) =>
    body instanceof ReadableStream ? new Uint8Array(await new Response(body).arrayBuffer()) : body;
  return {
    head: (key: string) => bucket.head(key),
    get: (key: string, options: R2GetOptions) => bucket.get(key, options),
    list: (options: R2ListOptions) => bucket.list(options),
    delete: (key: string) => bucket.delete(key),
    put: async (key: string, body: unknown, options: R2PutOptions) =>
      bucket.put(key, (await read(body)) as ArrayBuffer, options),
    createMultipartUpload: (key: string, options: R2MultipartOptions) => bucket.createMultipartUpload(key, options),
    resumeMultipartUpload: (key: string, id: string) => ({
      uploadPart: async (n: number, body: unknown) =>
        (await bucket.resumeMultipartUpload(key, id)).uploadPart(n, (await read(body)) as ArrayBuffer),
      complete: async (parts: R2UploadedPart[]) => (await bucket.resumeMultipartUpload(key, id)).complete(parts),
      abort: async () => (await bucket.resumeMultipartUpload(key, id)).abort(),
    }),
  } as unknown as R2Bucket;
}

let miniflare: Miniflare;
let bucket: R2Bucket;
let world: World;

beforeAll(async () => {
  miniflare = new Miniflare(
    convertV4MiniflareOptions({ modules: true, script: "export default {}", r2Buckets: ["OBJECTS"], cf: false }),
  );
  bucket = withLengths((await miniflare.getR2Bucket("OBJECTS")) as unknown as R2Bucket);
});
afterAll(() => miniflare.dispose());

let run = 0;
beforeEach(async () => {
  world = await createWorld({ objects: bucket });
  run++;
});

const OBJECTS = "/v1/connections/lab/objects";
const sized = (body: string | Uint8Array, more: Record<string, string> = {}): Sent => ({
  body,
  headers: {
    "content-length": String(typeof body === "string" ? new TextEncoder().encode(body).length : body.length),
    "content-type": "text/plain",
    ...more,
  },
});
const put = (key: string, sent: Sent) =>
  world.send(`${OBJECTS}/${key}`, { method: "PUT", token: world.apiKey, ...sent });
const get = (key: string, headers: Record<string, string> = {}, method = "GET") =>
  world.send(`${OBJECTS}/${key}`, { method, token: world.apiKey, headers });

describe("an object", () => {
  it("comes back as it was put, as an attachment that no browser runs", async () => {
    const stored = await put(`run${run}/ö.html`, sized("<script>", { "content-type": "text/html" }));
    expect([stored.status, await stored.json()]).toEqual([
      201,
      expect.objectContaining({ key: `run${run}/ö.html`, bytes: 8 }),
    ]);
    const response = await get(`run${run}/%C3%B6.html`);
    expect(await response.text()).toBe("<script>");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/html",
      "content-length": "8",
      "content-disposition": `attachment; filename="_.html"; filename*=UTF-8''%C3%B6.html`,
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
      "accept-ranges": "bytes",
      etag: stored.headers.get("etag"),
    });
    const head = await get(`run${run}/ö.html`, {}, "HEAD");
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "8", ""]);
  });

  it("is replaced with 200, and not at all where nothing may be replaced", async () => {
    const key = `run${run}/a`;
    expect((await put(key, sized("one", { "if-none-match": "*" }))).status).toBe(201);
    expect((await problemIn(await put(key, sized("two", { "if-none-match": "*" })))).code).toBe("precondition_failed");
    const { headers } = await get(key);
    expect((await put(key, sized("two", { "if-match": headers.get("etag") ?? "" }))).status).toBe(200);
    expect((await put(key, sized("three", { "if-match": headers.get("etag") ?? "" }))).status).toBe(412);
    expect(await (await get(key)).text()).toBe("two");
  });

  it.each([
    ["bytes=2-4", 206, "234", "bytes 2-4/10"],
    ["bytes=7-", 206, "789", "bytes 7-9/10"],
    ["bytes=-2", 206, "89", "bytes 8-9/10"],
    ["bytes=5-99", 206, "56789", "bytes 5-9/10"],
    ["bytes=-99", 206, "0123456789", "bytes 0-9/10"],
    ["bytes=10-", 416, undefined, "bytes */10"],
    ["bytes=-0", 416, undefined, "bytes */10"],
    ["bytes=4-2", 200, "0123456789", null],
    ["bytes=0-1,3-4", 200, "0123456789", null],
    ["lines=1-2", 200, "0123456789", null],
  ])("asked for %s answers %s", async (range, status, text, contentRange) => {
    await put("digits", sized("0123456789"));
    const response = await get("digits", { range });
    expect([response.status, response.headers.get("content-range")]).toEqual([status, contentRange]);
    if (text !== undefined)
      expect([await response.text(), response.headers.get("content-length")]).toEqual([text, String(text.length)]);
  });

  it("is not sent again to a reader who has it, nor in part to one who has another", async () => {
    const key = `run${run}/a`;
    await put(key, sized("0123456789"));
    const etag = (await get(key)).headers.get("etag") ?? "";
    const statusWith = async (headers: Record<string, string>) => (await get(key, headers)).status;
    expect(await statusWith({ "if-none-match": `"x", W/${etag}` })).toBe(304);
    expect(await statusWith({ "if-none-match": '"x"' })).toBe(200);
    expect(await statusWith({ "if-match": '"x"' })).toBe(412);
    expect(await statusWith({ "if-match": etag })).toBe(200);
    expect(await statusWith({ "if-modified-since": new Date(Date.now() + 60_000).toUTCString() })).toBe(304);
    expect(await statusWith({ "if-unmodified-since": "Sat, 01 Jan 2000 00:00:00 GMT" })).toBe(412);
    expect(await statusWith({ "if-modified-since": "not a date" })).toBe(200);
    expect(await statusWith({ range: "bytes=0-1", "if-range": etag })).toBe(206);
    expect(await statusWith({ range: "bytes=0-1", "if-range": '"x"' })).toBe(200);
    const modified = (await get(key)).headers.get("last-modified") ?? "";
    expect(await statusWith({ range: "bytes=0-1", "if-range": modified })).toBe(206);
    expect(await statusWith({ range: "bytes=0-1", "if-range": "Sat, 01 Jan 2000 00:00:00 GMT" })).toBe(200);
    expect((await get(key, { "if-none-match": etag })).headers.get("etag")).toBe(etag);
  });

  it("is replaced only as the conditions of the request allow, held by R2 in the same step", async () => {
    const key = `run${run}/conditions`;
    await put(key, sized("one"));
    const etag = (await get(key)).headers.get("etag") ?? "";
    const status = async (headers: Record<string, string>) => (await put(key, sized("one", headers))).status;
    expect(await status({ "if-match": '"x"' })).toBe(412);
    expect(await status({ "if-match": `"x", ${etag}` })).toBe(200);
    expect(await status({ "if-match": "*" })).toBe(200);
    expect(await status({ "if-none-match": etag })).toBe(412);
    expect(await status({ "if-none-match": '"x"' })).toBe(200);
    expect(await status({ "if-unmodified-since": "Sat, 01 Jan 2000 00:00:00 GMT" })).toBe(412);
    expect((await put(`run${run}/new`, sized("one", { "if-match": "*" }))).status).toBe(412);
  });

  it("is stored only if it is what its digest says", async () => {
    const key = `run${run}/digest`;
    const sha256 = createHash("sha256").update("data").digest("base64");
    const stored = await put(key, sized("data", { "content-digest": `sha-512=:AA==:, sha-256=:${sha256}:` }));
    expect([stored.status, (await stored.json()) as object]).toEqual([
      201,
      expect.objectContaining({ sha256: Buffer.from(sha256, "base64").toString("hex") }),
    ]);
    expect((await get(key)).headers.get("repr-digest")).toBe(`sha-256=:${sha256}:`);
    for (const digest of [`sha-256=:${sha256}:`, "sha-256=:AAAA:", "md5=:AAAA:", "nonsense"])
      expect(await problemIn(await put(`${key}2`, sized("other", { "repr-digest": digest })))).toMatchObject({
        status: 422,
        errors: [expect.objectContaining({ field: expect.stringMatching(/Digest/) })],
      });
    expect((await get(`${key}2`)).status).toBe(404);
  });

  it("is kept from a key that a transfer is on its way to", async () => {
    world.lab.keysTaken.add(`run${run}/target`);
    expect(await problemIn(await put(`run${run}/target`, sized("x")))).toMatchObject({ status: 409, code: "conflict" });
    expect((await get(`run${run}/target`)).status).toBe(404);
  });

  it("is counted as it comes, changes and goes, and never beyond the quota", async () => {
    world.lab.quotaBytes = 10;
    const key = `run${run}/counted`;
    expect((await put(key, sized("123456"))).status).toBe(201);
    expect(world.lab.stored).toEqual({ objects: 1, bytes: 6 });
    expect(await problemIn(await put(`${key}2`, sized("12345")))).toMatchObject({
      status: 409,
      code: "quota_exceeded",
    });
    expect((await put(key, sized("12", { "if-match": '"x"' }))).status).toBe(412);
    expect((await put(key, sized("12"))).status).toBe(200);
    expect([world.lab.stored, world.lab.reservations.size]).toEqual([{ objects: 1, bytes: 2 }, 0]);
    await world.send(`${OBJECTS}/${key}`, { method: "DELETE", token: world.apiKey });
    expect(world.lab.stored).toEqual({ objects: 0, bytes: 0 });
  });

  it("is stored although nobody could be told of it", async () => {
    world.lab.objectChanged = async () => {
      throw new Error("Network connection lost.");
    };
    expect((await put(`run${run}/untold`, sized("x"))).status).toBe(201);
    expect(world.lines).toContainEqual(expect.objectContaining({ event: "object.not_counted" }));
  });

  it("shows the SHA-256 that a transfer proved", async () => {
    const sha256 = createHash("sha256").update("x").digest("hex");
    await bucket.put(`lab/run${run}/proven`, "x", { customMetadata: { sha256 } });
    expect((await get(`run${run}/proven`)).headers.get("repr-digest")).toBe(
      `sha-256=:${Buffer.from(sha256, "hex").toString("base64")}:`,
    );
    const list = await world.send(`${OBJECTS}?prefix=run${run}/`, { token: world.apiKey });
    expect(await list.json()).toMatchObject({ items: [{ key: `run${run}/proven`, sha256 }] });
  });

  it("is removed once; after that it is not there", async () => {
    await put(`run${run}/a`, sized("x"));
    const remove = () => world.send(`${OBJECTS}/run${run}/a`, { method: "DELETE", token: world.apiKey });
    expect([(await remove()).status, (await remove()).status, (await get(`run${run}/a`)).status]).toEqual([
      204, 404, 404,
    ]);
  });

  it("needs a known length within what one request may carry", async () => {
    expect((await problemIn(await put("a", { body: new ReadableStream() }))).status).toBe(411);
    expect(await problemIn(await put("a", sized("x", { "content-length": "100000001" })))).toMatchObject({
      status: 413,
      detail: expect.stringContaining("POST /v1/connections/lab/uploads"),
    });
  });

  it("keeps any key it may have, whatever characters are in it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }), async (key) => {
        fc.pre(ObjectKey.safeParse(key).success);
        const encoded = key.split("/").map(encodeURIComponent).join("/");
        const response = await put(encoded, sized("x"));
        expect(await response.json()).toMatchObject({ key });
      }),
      { numRuns: 40 },
    );
  });

  it.each(["a//b", "a/%2e%2e%2fb", "a/%00b", "%ff", "a%2f%2e%2e%2f%2e%2e%2fother%2fx", "x".repeat(901)])(
    "has no key such as %.20s",
    async (key) => {
      expect((await put(key, sized("x"))).status).toBe(422);
      expect((await get(key)).status).toBe(422);
    },
  );
});

describe("the objects of a connection", () => {
  it("are listed by prefix, page by page", async () => {
    for (const name of ["a", "b", "c"]) await put(`run${run}/${name}`, sized(name));
    await put(`other${run}`, sized("x"));
    const page = async (query: string) =>
      (await (await world.send(`${OBJECTS}?prefix=run${run}/&limit=2${query}`, { token: world.apiKey })).json()) as {
        items: { key: string }[];
        cursor?: string;
      };
    const first = await page("");
    const second = await page(`&cursor=${first.cursor}`);
    expect([...first.items, ...second.items].map(({ key }) => key)).toEqual(
      ["a", "b", "c"].map((name) => `run${run}/${name}`),
    );
    expect(second).not.toHaveProperty("cursor");
  });

  it("are listed on after keys of any length, and after nothing that is no cursor", async () => {
    const long = `run${run}/${"ü".repeat(440)}`;
    for (const name of [`${long}1`, `${long}2`]) await bucket.put(`lab/${name}`, "x");
    const list = (query: string) => world.send(`${OBJECTS}?prefix=run${run}/&limit=1${query}`, { token: world.apiKey });
    const { cursor } = (await (await list("")).json()) as { cursor: string };
    expect(await (await list(`&cursor=${cursor}`)).json()).toMatchObject({ items: [{ key: `${long}2` }] });
    for (const nonsense of ["x", "_", "Li4vb3RoZXI", "%00"])
      expect(await problemIn(await list(`&cursor=${nonsense}`))).toMatchObject({ status: 422 });
  });

  it("are nobody else's", async () => {
    await put("mine", sized("x"));
    world.tracker("lab2").exists = true;
    const { apiKey } = await world.tracker("lab2").issueKey({ name: "other" });
    expect((await world.send(`${OBJECTS}/mine`, { token: apiKey })).status).toBe(403);
    expect((await world.send("/v1/connections/lab2/objects/..%2flab%2fmine", { token: apiKey })).status).toBe(422);
    expect(await (await world.send("/v1/connections/lab2/objects?prefix=../lab", { token: apiKey })).json()).toEqual({
      items: [],
    });
    expect(await (await world.send("/v1/connections/lab2/objects", { token: apiKey })).json()).toEqual({ items: [] });
    const reader = await world.keyWith("transfers:read");
    expect((await world.send(`${OBJECTS}/mine`, { token: reader })).status).toBe(200);
    expect((await put("mine", { ...sized("y"), token: reader })).status).toBe(403);
    expect((await get("mine", { authorization: `Bearer ${await world.keyWith("jobs:read")}` })).status).toBe(403);
  });

  it("have a host of their own where one is set, and nothing else is there", async () => {
    world = await createWorld({ objects: bucket, objectsHost: "objects.test" });
    await put(`run${run}/a`, sized("x"));
    const moved = await get(`run${run}/a`);
    expect([moved.status, moved.headers.get("location")]).toEqual([307, `https://objects.test${OBJECTS}/run${run}/a`]);
    const there = (path: string, init: RequestInit = {}) =>
      world.app.request(`https://objects.test${path}`, {
        ...init,
        headers: { authorization: `Bearer ${world.apiKey}` },
      });
    expect(await (await there(`${OBJECTS}/run${run}/a`)).text()).toBe("x");
    for (const path of [OBJECTS, "/docs", "/v1/connections/lab/jobs"]) expect((await there(path)).status).toBe(404);
    expect((await there(`${OBJECTS}/run${run}/a`, { method: "DELETE" })).status).toBe(404);
  });
});

describe("an upload in parts", () => {
  const UPLOADS = "/v1/connections/lab/uploads";
  const start = async (key: string) => {
    const response = await world.send(UPLOADS, {
      method: "POST",
      token: world.apiKey,
      body: { key, contentType: "application/x-hdf5" },
    });
    return {
      status: response.status,
      location: response.headers.get("location") ?? "",
      ...((await response.json()) as { id: string; minPartBytes: number }),
    };
  };
  const part = async (location: string, n: number | string, bytes: Uint8Array) =>
    world.send(`${location}/${n}`, { method: "PUT", token: world.apiKey, ...sized(bytes) });
  const complete = (location: string, parts: unknown) =>
    world.send(`${location}/complete`, { method: "POST", token: world.apiKey, body: { parts } });

  it("puts them together, byte for byte", async () => {
    const upload = await start(`run${run}/big`);
    const parts = [new Uint8Array(upload.minPartBytes).fill(1), new Uint8Array(10).fill(2)];
    const stored = await Promise.all(parts.map(async (bytes, i) => (await part(upload.location, i + 1, bytes)).json()));
    expect((await get(`run${run}/big`)).status).toBe(404);
    const done = await complete(upload.location, stored);
    expect([upload.status, done.status, await done.json()]).toEqual([
      201,
      201,
      expect.objectContaining({ key: `run${run}/big`, bytes: upload.minPartBytes + 10 }),
    ]);
    const whole = await get(`run${run}/big`);
    expect(whole.headers.get("content-type")).toBe("application/x-hdf5");
    expect(
      createHash("sha256")
        .update(new Uint8Array(await whole.arrayBuffer()))
        .digest("hex"),
    ).toBe(createHash("sha256").update(Buffer.concat(parts)).digest("hex"));
    expect((await complete(upload.location, stored)).status).toBe(404);
  });

  it("keeps room for its parts, and replaces nothing where nothing may be replaced", async () => {
    world.lab.quotaBytes = 12_000_000;
    const upload = await start(`run${run}/room`);
    const size = upload.minPartBytes;
    const first = await (await part(upload.location, 1, new Uint8Array(size))).json();
    expect((await part(upload.location, 2, new Uint8Array(size))).status).toBe(200);
    const second = await (await part(upload.location, 2, new Uint8Array(size))).json();
    expect(await problemIn(await part(upload.location, 3, new Uint8Array(size)))).toMatchObject({
      status: 409,
      code: "quota_exceeded",
    });
    await bucket.put(`lab/run${run}/room`, "there already");
    const careful = await world.send(`${upload.location}/complete`, {
      method: "POST",
      token: world.apiKey,
      headers: { "if-none-match": "*" },
      body: { parts: [first, second] },
    });
    expect(careful.status).toBe(412);
    expect((await complete(upload.location, [first, second])).status).toBe(201);
    expect(world.lab.stored.bytes).toBe(2 * size - "there already".length);
    expect([...world.lab.reservations.keys()].filter((id) => id.startsWith("upload/"))).toEqual([]);
    world.lab.keysTaken.add(`run${run}/taken`);
    expect((await start(`run${run}/taken`)).status).toBe(409);
  });

  it("says what is wrong with its parts", async () => {
    const upload = await start(`run${run}/bad`);
    const small = await Promise.all(
      [1, 2].map(async (n) => (await part(upload.location, n, new Uint8Array(10))).json()),
    );
    expect(await problemIn(await complete(upload.location, small))).toMatchObject({
      status: 422,
      detail: expect.stringContaining("5242880"),
    });
    expect(await problemIn(await complete(upload.location, [{ part: 1, etag: "other" }]))).toMatchObject({
      status: 422,
    });
    for (const n of ["0", "10001", "x"]) expect((await part(upload.location, n, new Uint8Array(1))).status).toBe(422);
    expect((await complete(upload.location, [])).status).toBe(422);
  });

  it("is given up, and belongs to one connection and one key", async () => {
    const upload = await start(`run${run}/gone`);
    world.tracker("lab2").exists = true;
    const { apiKey } = await world.tracker("lab2").issueKey({ name: "other" });
    const elsewhere = upload.location.replace("/lab/", "/lab2/");
    expect((await world.send(`${elsewhere}/1`, { method: "PUT", token: apiKey, ...sized("x") })).status).toBe(404);
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(upload.id, "base64url").toString()), key: "another" }),
    ).toString("base64url");
    expect((await part(`${UPLOADS}/${forged}`, 1, new Uint8Array(1))).status).toBe(404);
    expect((await part(`${UPLOADS}/junk`, 1, new Uint8Array(1))).status).toBe(404);
    expect((await world.send(upload.location, { method: "DELETE", token: world.apiKey })).status).toBe(204);
    expect((await part(upload.location, 1, new Uint8Array(1))).status).toBe(404);
  });
});
