import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { diskStore } from "../disk-store.ts";
import { memoryStore } from "../store.ts";
import { diskSegments } from "./disk-segments.ts";
import { memorySegments, type Segments } from "./segments.ts";
import { Staging } from "./staging.ts";

const CREDENTIALS = { accessKey: "access", secretKey: "secret" };
const TTL_SECONDS = 600;
const MIB = 1024 * 1024;

class Subject {
  now = Date.UTC(2026, 0, 5);
  readonly staging: Staging;

  constructor(segments: Segments = memorySegments(), store = memoryStore()) {
    this.staging = new Staging({
      store,
      segments,
      credentials: CREDENTIALS,
      now: () => this.now,
      objectLifeSeconds: TTL_SECONDS,
    });
    this.staging.publish("https://staging.test/area");
  }

  async put(key: string, content: string): Promise<void> {
    await this.staging.put("alice", key, new Blob([content]).stream());
  }

  link(key: string): Promise<string> {
    return this.staging.presignGet("alice", key, TTL_SECONDS);
  }

  async fetch(url: string, init: RequestInit = {}): Promise<{ status: number; headers: Headers; text: string }> {
    const response = await this.staging.fetch(new Request(url, init));
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** A form as a client sends it, with its length. */
  async post(
    url: string,
    fields: [string, string][],
    headers: Record<string, string> = {},
  ): Promise<{ status: number; text: string }> {
    const form = new FormData();
    for (const [name, value] of fields) form.append(name, name === "file" ? new File([value], "name") : value);
    const encoded = new Response(form);
    const body = await encoded.arrayBuffer();
    const sized = {
      "content-type": encoded.headers.get("content-type") ?? "",
      "content-length": String(body.byteLength),
      ...headers,
    };
    return await this.fetch(url, {
      method: "POST",
      body,
      headers: Object.fromEntries(Object.entries(sized).filter(([, value]) => value !== "")),
    });
  }
}

describe("a presigned link", () => {
  it("serves the object with its ETag, whole and in ranges", async () => {
    const subject = new Subject();
    await subject.put("id/a b.txt", "0123456789");
    const url = await subject.link("id/a b.txt");
    expect(new URL(url).searchParams.get("X-Amz-Expires")).toBe("600");
    const whole = await subject.fetch(url);
    expect([whole.status, whole.text, whole.headers.get("content-length")]).toEqual([200, "0123456789", "10"]);
    const range = async (value: string) => {
      const { status, headers, text } = await subject.fetch(url, { headers: { range: value } });
      return [status, headers.get("content-range"), status < 400 ? text : /<Code>(.*)<\/Code>/.exec(text)?.[1]];
    };
    expect(await range("bytes=2-4")).toEqual([206, "bytes 2-4/10", "234"]);
    expect(await range("bytes=7-")).toEqual([206, "bytes 7-9/10", "789"]);
    expect(await range("bytes=-3")).toEqual([206, "bytes 7-9/10", "789"]);
    expect(await range("bytes=-99")).toEqual([206, "bytes 0-9/10", "0123456789"]);
    expect(await range("bytes=8-99")).toEqual([206, "bytes 8-9/10", "89"]);
    expect(await range("bytes=10-")).toEqual([416, null, "InvalidRange"]);
    expect((await range("bytes=4-2"))[0]).toBe(200);
    expect((await range("items=1-2"))[0]).toBe(200);
  });

  it("obeys conditions on the ETag", async () => {
    const subject = new Subject();
    await subject.put("f", "x");
    const url = await subject.link("f");
    const etag = (await subject.fetch(url)).headers.get("etag") ?? "";
    const status = async (headers: Record<string, string>) => (await subject.fetch(url, { headers })).status;
    expect(await status({ "if-match": etag })).toBe(200);
    expect(await status({ "if-match": '"other"' })).toBe(412);
    expect(await status({ "if-none-match": etag })).toBe(304);
    await subject.put("f", "y");
    expect(await status({ "if-match": etag })).toBe(412);
  });

  it("is good for GET only, unchanged, for its time, and without another credential", async () => {
    const subject = new Subject();
    await subject.put("f", "x");
    const url = await subject.link("f");
    const changed = (name: string, value: string) => {
      const copy = new URL(url);
      copy.searchParams.set(name, value);
      return copy.href;
    };
    const code = async (target: string, init: RequestInit = {}) => {
      const { status, text } = await subject.fetch(target, init);
      return [status, /<Code>(.*)<\/Code>/.exec(text)?.[1]];
    };
    expect((await subject.fetch(url, { method: "HEAD" })).status).toBe(403);
    expect(await code(url, { method: "PUT", body: "x" })).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(url, { method: "DELETE" })).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(changed("X-Amz-Expires", "999999"))).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(changed("X-Amz-Date", "20270101T000000Z"))).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(changed("extra", "1"))).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(url.replace("/f?", "/g?"))).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(url.replace("staging.test", "elsewhere.test"))).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await code(url.split("?")[0] ?? "")).toEqual([403, "AccessDenied"]);
    expect(await code(url, { headers: { authorization: "Bearer x" } })).toEqual([400, "InvalidArgument"]);
    expect((await subject.fetch(url)).status).toBe(200);
    subject.now += TTL_SECONDS * 1000 + 1000;
    expect(await code(url)).toEqual([403, "AccessDenied"]);
  });

  it("is 404 once the object is removed or has outlived its time", async () => {
    const subject = new Subject();
    await subject.put("f", "x");
    const url = await subject.staging.presignGet("alice", "f", 10 * 86_400);
    expect(await subject.staging.remove("alice", "f")).toBe(true);
    expect((await subject.fetch(url)).text).toContain("NoSuchKey");
    expect(await subject.staging.remove("alice", "f")).toBe(false);
    await subject.put("f", "x");
    subject.now += 86_400_000 + 1;
    expect((await subject.fetch(url)).status).toBe(404);
  });
});

describe("a signed form", () => {
  const fieldsOf = (fields: Record<string, string>, content = "content"): [string, string][] => [
    ...Object.entries(fields),
    ["file", content],
  ];

  it("takes a file of any content", async () => {
    const subject = new Subject();
    for (const content of ["", "content", "\r\n--", "x".repeat(300_000), "a\r\n\r\nb--\r\n"]) {
      const { url, fields } = await subject.staging.presignPost("alice", "id/up", TTL_SECONDS);
      expect((await subject.post(url, fieldsOf(fields, content))).status).toBe(204);
      expect((await subject.fetch(await subject.link("id/up"))).text).toBe(content);
    }
  });

  it("is refused when it is changed, incomplete, late, out of order or of unknown length", async () => {
    const subject = new Subject();
    const { url, fields } = await subject.staging.presignPost("alice", "id/up", TTL_SECONDS);
    const outcome = async (list: [string, string][], headers: Record<string, string> = {}) => {
      const { status, text } = await subject.post(url, list, headers);
      return [status, /<Code>(.*)<\/Code>/.exec(text)?.[1], /<Message>(.*)<\/Message>/.exec(text)?.[1]];
    };
    const { policy: _policy, ...withoutPolicy } = fields;
    expect(await outcome(fieldsOf({ ...fields, key: "other" }))).toEqual([
      403,
      "AccessDenied",
      "Policy check failed, variable not met condition: key",
    ]);
    expect(await outcome(fieldsOf({ ...fields, "x-amz-signature": "0".repeat(64) }))).toEqual([
      403,
      "AccessDenied",
      "",
    ]);
    expect(await outcome(fieldsOf({ ...fields, "Content-Type": "text/plain" }))).toEqual([
      403,
      "AccessDenied",
      "Policy missing condition: content-type",
    ]);
    expect(await outcome(fieldsOf(withoutPolicy))).toEqual([403, "AccessDenied", ""]);
    expect(await outcome([["file", "x"], ...Object.entries(fields)])).toEqual([
      400,
      "InvalidArgument",
      "Key not specified",
    ]);
    expect(await outcome(fieldsOf(fields), { "content-length": "" })).toEqual([411, "MissingContentLength", ""]);
    expect((await outcome(fieldsOf(fields), { "content-type": "text/plain" }))[0]).toBe(400);
    const other = await subject.staging.presignPost("bob", "id/up", TTL_SECONDS);
    expect((await subject.post(url, fieldsOf(other.fields))).status).toBe(403);
    subject.now += TTL_SECONDS * 1000 + 1000;
    expect(await outcome(fieldsOf(fields))).toEqual([403, "AccessDenied", "Policy expired"]);
    expect(subject.staging.stat("alice", "id/up")).toBeUndefined();
  });
});

describe("a multipart upload", () => {
  const send = async (subject: Subject, url: string, content: string) =>
    (
      await subject.fetch(url, { method: "PUT", body: content, headers: { "content-length": String(content.length) } })
    ).headers.get("etag") ?? "";
  const document = (etags: string[]) =>
    `<CompleteMultipartUpload>${etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join("")}</CompleteMultipartUpload>`;
  const complete = (subject: Subject, url: string, etags: string[]) =>
    subject.fetch(url, { method: "POST", body: document(etags) });

  it("appears only when it is completed, in the order of its parts, and may be completed again", async () => {
    const subject = new Subject();
    const { partUrls, completeUrl } = await subject.staging.presignMultipart("alice", "big", 3, TTL_SECONDS);
    const [first = "", second = "", third = ""] = partUrls;
    const etags = ["", "", ""];
    etags[2] = await send(subject, third, "end");
    etags[0] = await send(subject, first, "a".repeat(5 * MIB));
    await send(subject, second, "stale".repeat(MIB));
    etags[1] = await send(subject, second, "b".repeat(5 * MIB));
    const url = await subject.link("big");
    expect((await subject.fetch(url)).status).toBe(404);
    for (let time = 0; time < 2; time++) {
      const { status, text } = await complete(subject, completeUrl, etags);
      expect([status, text]).toEqual([200, expect.stringContaining("<Key>big</Key>")]);
    }
    const around = await subject.fetch(url, { headers: { range: `bytes=${5 * MIB - 2}-${5 * MIB + 1}` } });
    expect(around.text).toBe("aabb");
    expect((await subject.fetch(url, { headers: { range: "bytes=-4" } })).text).toBe("bend");
    expect(
      (await subject.fetch(first, { method: "PUT", body: "x", headers: { "content-length": "1" } })).text,
    ).toContain("NoSuchUpload");
  });

  it("is refused with wrong tags, small parts, unsized parts and changed URLs", async () => {
    const subject = new Subject();
    const { partUrls, completeUrl } = await subject.staging.presignMultipart("alice", "big", 2, TTL_SECONDS);
    const [first = "", second = ""] = partUrls;
    const etags = [await send(subject, first, "small"), await send(subject, second, "end")];
    expect((await complete(subject, completeUrl, ['"wrong"', etags[1] ?? ""])).text).toContain("InvalidPart");
    expect((await complete(subject, completeUrl, etags)).text).toContain("EntityTooSmall");
    expect((await subject.fetch(first, { method: "PUT", body: "x" })).status).toBe(411);
    expect(
      (await subject.fetch(first.replace("partNumber=1", "partNumber=7"), { method: "PUT", body: "x" })).status,
    ).toBe(403);
    expect((await subject.fetch(first)).status).toBe(403);
  });
});

describe("the staging area on disk", () => {
  it("keeps objects over a restart and sweeps what nothing refers to", async () => {
    const folder = await mkdtemp(join(tmpdir(), "firewatch-staging-"));
    try {
      const store = diskStore(join(folder, "records"));
      const before = new Subject(await diskSegments(join(folder, "bytes")), store);
      await before.put("kept", "kept");
      await before.put("kept", "replaced");
      const broken = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new Error("cut")) });
      await expect(before.staging.put("alice", "broken", broken)).rejects.toThrow("cut");
      await (await diskSegments(join(folder, "bytes"))).create(new Blob(["orphan"]).stream());
      expect(await readdir(join(folder, "bytes"))).toHaveLength(2);
      store.close();

      const again = diskStore(join(folder, "records"));
      const after = new Subject(await diskSegments(join(folder, "bytes")), again);
      await after.staging.sweep();
      expect(await readdir(join(folder, "bytes"))).toHaveLength(1);
      expect((await after.fetch(await after.link("kept"))).text).toBe("replaced");
      again.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
