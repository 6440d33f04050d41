import { describe, expect, it } from "vitest";
import { fakeSite, type Handlers, json, output, page, refused } from "./fake-site.ts";
import { unescapeName } from "./wire.ts";

const get = (name: string, answer: Handlers[string]) => fakeSite({ [`GET /utilities/${name}`]: answer });
const entry = (name: string, more: Record<string, string> = {}) => ({
  name,
  type: "-",
  user: "a",
  group: "g",
  permissions: "rw-r--r--",
  last_modified: "2026-11-22T12:48:54",
  size: "10240",
  link_target: "",
  ...more,
});

describe("listing", () => {
  it("gives sizes as numbers and names without escapes", async () => {
    const { client, requests } = get("ls", () =>
      output([entry("caf\\303\\251.txt"), entry("new\\nline"), entry("l", { type: "l", link_target: "to\\303\\251" })]),
    );
    const entries = await client.files.ls("c", "/d", { hidden: true });
    expect(entries.map((e) => [e.name, e.size, e.linkTarget])).toEqual([
      ["café.txt", 10_240, undefined],
      ["new\nline", 10_240, undefined],
      ["l", 10_240, "toé"],
    ]);
    expect(requests[0]?.query).toEqual({ targetPath: "/d", showhidden: "true" });
  });

  it.each([
    ["plain", "plain"],
    ["a\\\\b", "a\\b"],
    ["tab\\there", "tab\there"],
    ["\\360\\237\\230\\200", "😀"],
    ['quo\\"te', 'quo"te'],
    ["end\\", "end\\"],
  ])("unescapes %s", (name, real) => {
    expect(unescapeName(name)).toBe(real);
  });
});

describe("reading", () => {
  it("stats numbers and knows a directory", async () => {
    const { client } = get("stat", () =>
      output({ mode: 16877, ino: 1, uid: 3001, gid: 3000, size: 4096, mtime: 1795351735 }),
    );
    expect(await client.files.stat("c", "/d", { dereference: true })).toEqual({
      size: 4096,
      mode: 16877,
      uid: 3001,
      gid: 3000,
      mtime: 1795351735,
      isDirectory: true,
    });
  });

  it("views a whole file, not v1's ten lines", async () => {
    const text = "line\n".repeat(30);
    const { client, calls } = get("download", () => new Response(text));
    expect(await client.files.view("c", "/f")).toBe(text);
    expect(calls()).toEqual(["GET /utilities/download"]);
  });

  it("asks for lines or bytes, never both", async () => {
    const { client, requests } = get("tail", () => output("x"));
    await client.files.tail("c", "/f", { lines: 3 });
    await client.files.tail("c", "/f", { bytes: 7, lines: 3 });
    await client.files.tail("c", "/f");
    expect(requests.map(({ query: { lines, bytes } }) => [lines, bytes])).toEqual([
      ["3", undefined],
      [undefined, "7"],
      [undefined, undefined],
    ]);
  });

  it("fetches what the server cannot decode and cuts it here", async () => {
    const bytes = new Uint8Array([...new TextEncoder().encode("a\nb\nc\nd\n"), 0x80, 10]);
    const codec = () => json(400, { error: "" }, { "X-Error": "'utf-8' codec can't decode byte 0x80 in position 0" });
    const site = fakeSite({
      "GET /utilities/tail": codec,
      "GET /utilities/head": codec,
      "GET /utilities/download": () => new Response(bytes),
    });
    expect(await site.client.files.tail("c", "/f", { lines: 2 })).toBe("d\n\ufffd\n");
    expect(await site.client.files.tail("c", "/f", { bytes: 4 })).toBe("d\n\ufffd\n");
    expect(await site.client.files.head("c", "/f", { lines: 2 })).toBe("a\nb\n");
    expect(await site.client.files.head("c", "/f", { bytes: 3 })).toBe("a\nb");
  });

  it("gives a checksum only when it is one", async () => {
    const sum = "a".repeat(64);
    expect(await get("checksum", () => output(sum.toUpperCase())).client.files.checksum("c", "/f")).toBe(sum);
    await expect(get("checksum", () => output("sha256sum: x")).client.files.checksum("c", "/f")).rejects.toMatchObject({
      code: "unreadable_answer",
    });
    await expect(get("checksum", () => refused("X-Timeout")).client.files.checksum("c", "/f")).rejects.toMatchObject({
      code: "command_timeout",
    });
  });

  it("downloads bytes as they are, JSON or not, and an empty file too", async () => {
    const { client } = get("download", ({ query }) => new Response(query.sourcePath === "/e" ? "" : '{"a":1}'));
    expect(new TextDecoder().decode(await client.files.download("c", "/f"))).toBe('{"a":1}');
    expect(await client.files.download("c", "/e")).toHaveLength(0);
  });
});

describe("changing", () => {
  it("sends forms, also for PUT and DELETE, and understands 201 and 204", async () => {
    const site = fakeSite({
      "POST /utilities/mkdir": () => json(201, { description: "ok", output: "" }),
      "PUT /utilities/rename": () => json(200, {}),
      "PUT /utilities/chmod": () => json(200, {}),
      "PUT /utilities/chown": () => json(200, {}),
      "POST /utilities/symlink": () => json(201, {}),
      "POST /utilities/copy": () => json(201, {}),
      "POST /utilities/compress": () => json(201, {}),
      "POST /utilities/extract": () => json(201, {}),
      "POST /utilities/upload": () => json(201, {}),
      "DELETE /utilities/rm": () => new Response(null, { status: 204 }),
    });
    const { files } = site.client;
    await files.mkdir("c", "/d");
    await files.mkdir("c", "/d", { parents: true });
    expect(await files.move("c", "/a b", "/b")).toEqual({ done: true });
    expect(await files.copy("c", "/a", "/b")).toEqual({ done: true });
    await files.chmod("c", "/a", "640");
    await files.chown("c", "/a", undefined, "staff");
    await files.symlink("c", "/with space", "/.fw-1");
    await files.compress("c", "/d", "/d.tar.gz", { dereference: true });
    await files.extract("c", "/d.tar.gz", "/e");
    await files.remove("c", "/a");
    await files.upload("c", "/d", "x.bin", new Uint8Array([1, 2]));
    expect(site.requests.map(({ form }) => form)).toEqual([
      // `p=false` would make parents too: absent means no.
      { targetPath: "/d" },
      { targetPath: "/d", p: "true" },
      { sourcePath: "/a b", targetPath: "/b" },
      { sourcePath: "/a", targetPath: "/b" },
      { targetPath: "/a", mode: "640" },
      { targetPath: "/a", group: "staff" },
      { targetPath: "/with space", linkPath: "/.fw-1" },
      { sourcePath: "/d", targetPath: "/d.tar.gz", dereference: "true" },
      { sourcePath: "/d.tar.gz", targetPath: "/e" },
      { targetPath: "/a" },
      { targetPath: "/d" },
    ]);
    expect(site.requests.at(-1)?.file?.name).toBe("x.bin");
  });

  it("says of a time-out that the command may have done its work", async () => {
    const site = fakeSite({
      "DELETE /utilities/rm": () => refused("X-Timeout", "Command has finished with timeout signal"),
    });
    await expect(site.client.files.remove("c", "/a")).rejects.toMatchObject({
      code: "command_timeout",
      retry: "after_check",
    });
  });

  it("never lets a word out that the site's shell would read", async () => {
    const site = fakeSite({});
    const { files } = site.client;
    const attempts = [
      () => files.ls("c", "/a'b"),
      () => files.remove("c", "/a`id`"),
      () => files.remove("c", "relative"),
      () => files.mkdir("c", "/-rf"),
      () => files.symlink("c", "/a", "/b;c"),
      () => files.chmod("c", "/a", "u+x;id"),
      () => files.chown("c", "/a", "-R"),
      () => files.upload("c", "/d", "../x", new Uint8Array()),
      () => files.download("c", "/a\n"),
      () => files.head("c", "/a\n"),
      () => files.compress("c", "/a|b", "/c"),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ retry: "never" });
    expect(site.requests).toEqual([]);
  });
});

describe("the kind of an error", () => {
  it.each([
    ["X-Invalid-Path", "not_found"],
    ["X-Not-Found", "not_found"],
    ["X-Permission-Denied", "permission_denied"],
    ["X-Exists", "already_exists"],
    ["X-A-Directory", "is_a_directory"],
    ["X-Not-A-Directory", "not_a_directory"],
    ["X-Size-Limit", "too_large"],
    ["X-Machine-Not-Available", "system_unavailable"],
    ["X-Invalid-Mode", "invalid_request"],
  ])("is in the header %s, not in the status", async (header, code) => {
    await expect(get("stat", () => refused(header, "words")).client.files.stat("c", "/a")).rejects.toMatchObject({
      code,
    });
  });

  it.each([
    ["Connection refused", "system_unavailable", "later"],
    ["None", "system_unavailable", "later"],
    ["Command output exceeded buffer limit (5242880)", "too_large", "never"],
    ["head: invalid number of bytes: 'abc'", "invalid_request", "never"],
  ])("is in the words of X-Error: %s", async (words, code, retry) => {
    const answer = json(400, { description: "Error", error: null }, { "X-Error": words });
    await expect(get("stat", () => answer).client.files.stat("c", "/a")).rejects.toMatchObject({ code, retry });
  });

  it("is told with the site's words and without its headers", async () => {
    const error = await get("stat", () => refused("X-Not-Found", "stat: cannot stat '/a'"))
      .client.files.stat("c", "/a")
      .catch((e: Error) => e);
    expect(error).toMatchObject({ message: "utilities/stat: Error on operation: stat: cannot stat '/a'" });
    await expect(get("stat", () => page(404)).client.files.stat("c", "/a")).rejects.toMatchObject({
      code: "not_supported",
    });
  });
});
