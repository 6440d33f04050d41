import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkFileName,
  checkMode,
  checkOwner,
  checkPath,
  linkBeside,
  needsSymlink,
  type PathOperation,
  resolvePath,
} from "./paths.ts";

const QUOTED: PathOperation[] = ["ls", "stat", "view", "checksum", "symlink", "remove", "download", "upload"];
const BARE: PathOperation[] = [
  "stage",
  "stage_upload",
  "file_job",
  "match_pattern",
  "submit_path",
  "working_directory",
];

describe("paths given to a site", () => {
  it("may be plain in every class", () => {
    for (const api of ["v1", "v2"] as const) {
      for (const operation of [...QUOTED, ...BARE]) {
        expect(checkPath(api, operation, "/scratch/a_b@c%+=:,.^-/x.tar.gz")).toBeUndefined();
      }
    }
  });

  it("say which character is refused and where", () => {
    expect(checkPath("v2", "ls", "/a/it's")).toBe('must not contain "\'" (character 6)');
    expect(checkPath("v1", "ls", '/a"b')).toBe("must not contain a double quote (character 3)");
    expect(checkPath("v1", "stage", "/a b")).toBe("must not contain a space (character 3)");
    expect(checkPath("v2", "stage", "/😀/é")).toBe('must not contain "😀" (U+1F600) (character 2)');
    expect(checkPath("v2", "ls", "/a\nb")).toBe("must not contain U+000A (character 3)");
    expect(checkPath("v2", "ls", "/a\ud800")).toBe("must not contain U+D800 (character 3)");
  });

  it.each([..."<>|;\"'&\\()`"])("refuse %s in v1 quoted paths, where the server would", (character) => {
    expect(checkPath("v1", "stat", `/a${character}b`)).toContain("character 3");
  });

  it.each([...'<>|;"&\\()`$*? []{}~#!é'])("let v2 quoted paths have %s", (character) => {
    expect(checkPath("v2", "stat", `/a${character}b`)).toBeUndefined();
  });

  it("never let a shell word through where nothing quotes it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), fc.constantFrom(...BARE), (text, operation) => {
        const path = `/${text}`;
        if (checkPath("v2", operation, path) === undefined) expect(path).toMatch(/^[A-Za-z0-9_@%+=:,./^-]+$/);
      }),
      { numRuns: 2_000 },
    );
  });

  it("never let a quote end the quoting", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom("v1", "v2"), (text, api) => {
        const path = `/${text}'`;
        expect(checkPath(api, "ls", path)).toBeDefined();
      }),
    );
  });

  it("are absolute, without .. and without segments that look like options", () => {
    expect(checkPath("v2", "ls", "a/b")).toBe("must be absolute");
    expect(checkPath("v2", "ls", "")).toBe("must be absolute");
    expect(checkPath("v1", "ls", "/a/../b")).toBe('must not contain ".."');
    expect(checkPath("v1", "ls", "/a/-rf")).toContain("starts with a dash");
    expect(checkPath("v1", "ls", "/a/..b/x-y")).toBeUndefined();
  });

  it("fit into a file system", () => {
    expect(checkPath("v1", "ls", `/${"a/".repeat(2_047)}`)).toBeUndefined();
    expect(checkPath("v1", "ls", `/${"a/".repeat(2_048)}`)).toContain("4096 bytes");
    expect(checkPath("v1", "ls", `/${"é".repeat(128)}`)).toContain("255 bytes");
  });

  it("are bare for v2 move and copy, which run as jobs there", () => {
    expect(checkPath("v1", "move", "/a b")).toBeUndefined();
    expect(checkPath("v2", "move", "/a b")).toContain("a space");
  });
});

describe("awkward names", () => {
  it("are staged through a link beside them when they can be quoted", () => {
    expect(needsSymlink("v1", "/d/with space.txt")).toBe(true);
    expect(needsSymlink("v2", "/d/a & b.txt")).toBe(true);
    expect(linkBeside("/d/with space.txt", "01h")).toBe("/d/.fw-01h");
    expect(checkPath("v1", "stage", linkBeside("/d/with space.txt", "01h"))).toBeUndefined();
  });

  it("need no link when they are plain, and get none when they cannot be quoted", () => {
    expect(needsSymlink("v1", "/d/plain.txt")).toBe(false);
    expect(needsSymlink("v1", "/d/a & b.txt")).toBe(false);
    expect(needsSymlink("v2", "/d/it's")).toBe(false);
  });

  it("get their link in the nearest directory above whose path is plain", () => {
    expect(linkBeside("/d/my dir/e/x y", "01h")).toBe("/d/.fw-01h");
    expect(linkBeside("/my dir/x", "01h")).toBe("/.fw-01h");
    for (const path of ["/d/my dir/e/x y", "/my dir/x"])
      expect(checkPath("v1", "stage", linkBeside(path, "01h"))).toBeUndefined();
  });
});

describe("relative paths", () => {
  it("are below the working directory", () => {
    expect(resolvePath("/scratch/run", "out/a.nc")).toEqual({ ok: true, path: "/scratch/run/out/a.nc" });
    expect(resolvePath("/scratch/run/", "./a//b/")).toEqual({ ok: true, path: "/scratch/run/a/b" });
    expect(resolvePath("/scratch/run", "/other")).toEqual({ ok: true, path: "/other" });
    expect(resolvePath(undefined, "/other")).toEqual({ ok: true, path: "/other" });
  });

  it("never climb", () => {
    expect(resolvePath("/scratch", "../x")).toMatchObject({ ok: false });
    expect(resolvePath("/scratch", "a/../../x")).toMatchObject({ ok: false });
  });

  it("need a working directory", () => {
    expect(resolvePath(undefined, "a")).toMatchObject({ ok: false });
    expect(resolvePath("/a", "")).toMatchObject({ ok: false });
  });
});

describe("words that go beside a path", () => {
  it("name one file", () => {
    expect(checkFileName("v1", "job.sh")).toBeUndefined();
    for (const name of ["", ".", "..", "a/b", "-x", "a'b", "a\u0000"]) expect(checkFileName("v2", name)).toBeDefined();
  });

  it("are modes and owners as the tools take them", () => {
    for (const mode of ["640", "0755", "u+x", "g-w,o=r", "+X", "a=rX"]) expect(checkMode(mode)).toBeUndefined();
    for (const mode of ["", "9", "u+x;id", "64000", "$(id)"]) expect(checkMode(mode)).toBeDefined();
    expect(checkOwner("alice")).toBeUndefined();
    for (const owner of ["", "-R", "a b", "a:b", "a'b"]) expect(checkOwner(owner)).toBeDefined();
  });
});
