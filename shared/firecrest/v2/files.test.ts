import { describe, expect, it } from "vitest";
import { type Asked, empty, failure, fakeSite, json } from "./fake-site.ts";
import { compressionOf } from "./files.ts";

const stat = (size: number, mode = 0o100644) => json({ output: { mode, uid: 1, gid: 1, size, mtime: 1_700_000_000 } });
const at = (asked: Asked) => asked.path.split("/").at(-1);

describe("small files", () => {
  it("C4: an empty upload ends in a time-out, and is done when the file is there and empty", async () => {
    const timeout = failure(408, "Remote process failed with exit status:124");
    const site = fakeSite((asked) => (at(asked) === "stat" ? stat(0) : timeout.clone()));
    await site.client.files.upload("daint", "/home/u", "empty.txt", new Uint8Array());
    expect(site.requests[1]?.query.get("path")).toBe("/home/u/empty.txt");
    const gone = fakeSite((asked) =>
      at(asked) === "stat" ? failure(404, "stat: No such file or directory") : timeout.clone(),
    );
    await expect(gone.client.files.upload("daint", "/home/u", "e", new Uint8Array())).rejects.toMatchObject({
      code: "not_found",
    });
    const full = fakeSite((asked) => (at(asked) === "stat" ? stat(0) : timeout.clone()));
    await expect(full.client.files.upload("daint", "/home/u", "e", new Uint8Array([1]))).rejects.toMatchObject({
      code: "command_timeout",
      retry: "after_check",
    });
  });

  it("sends an upload as one multipart part under the target's name", async () => {
    const site = fakeSite(() => empty());
    await site.client.files.upload("daint", "/home/u", "a b.txt", new TextEncoder().encode("hi"));
    const part = (site.requests[0]!.body as FormData).get("file") as File;
    expect([part.name, await part.text(), site.requests[0]?.query.get("path")]).toEqual(["a b.txt", "hi", "/home/u"]);
  });

  it.each(["../up.txt", "a/b", "it's", "", ".", "..", 'quo"te', "back\\slash", "-rf", "nl\n"])(
    "C18: refuses the upload name %j",
    async (name) => {
      const site = fakeSite(() => empty());
      await expect(site.client.files.upload("daint", "/home/u", name, new Uint8Array([1]))).rejects.toMatchObject({
        code: "invalid_path",
      });
      expect(site.asked).toEqual([]);
    },
  );

  it("C5: looks at the size before a download, and refuses what the site would only time out on", async () => {
    const site = fakeSite((asked) => (at(asked) === "stat" ? stat(3_932_158) : new Response("x")));
    await expect(site.client.files.download("daint", "/home/u/big")).rejects.toMatchObject({
      code: "too_large",
      retry: "never",
    });
    expect(site.asked).toEqual(["GET /filesystem/daint/ops/stat"]);
    const small = fakeSite((asked) =>
      at(asked) === "stat" ? stat(3_932_157) : new Response(new Uint8Array([0, 255])),
    );
    expect(await small.client.files.download("daint", "/home/u/big")).toEqual(new Uint8Array([0, 255]));
  });

  it("views in one piece what fits, and downloads what does not, since offsets count characters", async () => {
    const small = fakeSite((asked) => (at(asked) === "stat" ? stat(2_621_439) : json({ output: "ü" })));
    expect(await small.client.files.view("daint", "/f")).toBe("ü");
    expect(small.requests[1]?.query.get("size")).toBe("2621439");
    const large = fakeSite((asked) => (at(asked) === "stat" ? stat(2_621_440) : new Response("ü")));
    expect(await large.client.files.view("daint", "/f")).toBe("ü");
    expect(large.asked[1]).toBe("GET /filesystem/daint/ops/download");
  });

  it("C20: answers zero lines itself, as the server gives ten", async () => {
    const site = fakeSite(() => json({ output: { content: "1\n" } }));
    expect(await site.client.files.head("daint", "/f", { lines: 0 })).toBe("");
    expect(await site.client.files.tail("daint", "/f", { bytes: 0 })).toBe("");
    expect(site.asked).toEqual([]);
    expect(await site.client.files.tail("daint", "/f", { lines: 1 })).toBe("1\n");
    expect(site.requests[0]?.query.toString()).toBe("path=%2Ff&lines=1");
  });
});

describe("looking", () => {
  it("C6: gives names as they are, not as ls escapes them", async () => {
    const row = {
      name: "caf\\303\\251\\n.txt",
      type: "l",
      linkTarget: "\\303\\251",
      user: "u",
      group: "g",
      permissions: "rwxrwxrwx",
      lastModified: "2026-11-22T13:45:04",
      size: "12",
    };
    const site = fakeSite(() => json({ output: [row] }));
    const [entry] = await site.client.files.ls("daint", "/home/u", { hidden: true, recursive: true });
    expect(entry).toMatchObject({ name: "café\n.txt", linkTarget: "é", size: 12 });
    expect(Object.fromEntries(site.requests[0]!.query)).toEqual({
      path: "/home/u",
      showHidden: "true",
      recursive: "true",
    });
  });

  it("C6: reads the sum that the server shows while it trips over a space", async () => {
    const sum = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";
    const site = fakeSite(() => failure(500, `Invalid output: ${sum}  /home/u/with space.txt\n `));
    expect(await site.client.files.checksum("daint", "/home/u/with space.txt")).toBe(sum);
    const other = fakeSite(() => failure(500, "Invalid output: nothing"));
    await expect(other.client.files.checksum("daint", "/f")).rejects.toMatchObject({ code: "site_error" });
  });

  it("tells a checksum that takes too long", async () => {
    const site = fakeSite(() => failure(408, "Remote process failed with exit status:124"));
    await expect(site.client.files.checksum("daint", "/f")).rejects.toMatchObject({
      code: "command_timeout",
      retry: "later",
    });
  });

  it("tells a directory by its mode", async () => {
    const site = fakeSite(() => stat(4096, 0o040755));
    expect(await site.client.files.stat("daint", "/d", { dereference: true })).toMatchObject({
      isDirectory: true,
      size: 4096,
    });
    expect(site.requests[0]?.query.get("dereference")).toBe("true");
  });
});

describe("changing", () => {
  it("sends each operation as the server wants it", async () => {
    const shown = () => json({ output: { name: "/x", size: "1" } });
    const site = fakeSite((asked) => (["rm", "compress", "extract"].includes(at(asked) ?? "") ? empty() : shown()));
    const { files } = site.client;
    await files.mkdir("daint", "/d", { parents: true });
    await files.symlink("daint", "/target", "/link");
    await files.chmod("daint", "/f", "0640");
    await files.chown("daint", "/f", undefined, "csstaff");
    await files.remove("daint", "/f");
    await files.compress("daint", "/d", "/d.tar.xz", { dereference: true });
    await files.extract("daint", "/d.tar.gz", "/out");
    await files.fileType("daint", "/f").catch(() => undefined);
    expect(
      site.requests
        .slice(0, 7)
        .map(({ method, path, body, query }) => [method, path.split("/").at(-1), body ?? query.get("path")]),
    ).toEqual([
      ["POST", "mkdir", { path: "/d", parent: true }],
      ["POST", "symlink", { path: "/target", linkPath: "/link" }],
      ["PUT", "chmod", { path: "/f", mode: "0640" }],
      ["PUT", "chown", { path: "/f", owner: "", group: "csstaff" }],
      ["DELETE", "rm", "/f"],
      ["POST", "compress", { path: "/d", targetPath: "/d.tar.xz", dereference: true, compression: "xz" }],
      ["POST", "extract", { path: "/d.tar.gz", targetPath: "/out", compression: "gzip" }],
    ]);
  });

  it("moves and copies as jobs, for which the API has no other way", async () => {
    const site = fakeSite(() =>
      json({ transferJob: { jobId: 5, system: "daint", logs: { outputLog: "/o", errorLog: "/e" } } }, 201),
    );
    expect(await site.client.files.move("daint", "/a", "/b", "acc")).toMatchObject({
      done: false,
      handle: { kind: "file_job", ref: { job: "5", system: "daint" }, logs: { output: "/o", error: "/e" } },
    });
    expect(site.requests[0]?.body).toEqual({ path: "/a", targetPath: "/b", account: "acc" });
    expect((await site.client.files.copy("daint", "/a", "/b")).done).toBe(false);
  });

  it("fact 9: refuses what would leave the quotes of the site's shell command", async () => {
    const site = fakeSite(() => empty());
    const { files } = site.client;
    const refused = { code: "invalid_path", retry: "never" };
    await expect(files.remove("daint", "/home/u/'; rm -rf ~; '")).rejects.toMatchObject(refused);
    await expect(files.ls("daint", "relative")).rejects.toMatchObject(refused);
    await expect(files.symlink("daint", "/a", "/a/../b")).rejects.toMatchObject(refused);
    await expect(files.chmod("daint", "/a", "u+x; id")).rejects.toMatchObject({ code: "invalid_request" });
    await expect(files.chown("daint", "/a", "$(id)")).rejects.toMatchObject({ code: "invalid_request" });
    expect(site.asked).toEqual([]);
  });

  it("knows an archive's compression by its name", () => {
    expect(["/a.tar", "/a.tar.gz", "/a.tgz", "/a.tar.bz2", "/a.txz", "/a"].map(compressionOf)).toEqual([
      "none",
      "gzip",
      "gzip",
      "bzip2",
      "xz",
      "gzip",
    ]);
  });
});
