import { describe, expect, it } from "vitest";
import { fetchMaxBytes, judgeUpload, mayTryAgain, routeOf, targetOf } from "./upload.ts";

const MIB = 1024 * 1024;

describe("the route of a file", () => {
  it.each([
    [0, {}, "direct"],
    [MIB - 4096, {}, "direct"],
    [MIB - 4095, {}, "staged"],
    [3 * MIB, { directUploadMaxBytes: 5 * MIB }, "direct"],
    // However much the site takes: the direct route holds the file in memory.
    [5 * MIB, { directUploadMaxBytes: 100 * MIB }, "staged"],
    [0, { directUploadMaxBytes: 0 }, "direct"],
    [6 * MIB, { stagingMaxBytes: 6 * MIB }, "staged"],
    [6 * MIB + 1, { stagingMaxBytes: 6 * MIB }, undefined],
  ] as const)("of %i bytes at a site with %j is %s", (bytes, limits, route) => {
    expect(routeOf(bytes, limits)).toBe(route);
  });

  it("takes no more from elsewhere than the site takes", () => {
    expect(fetchMaxBytes({})).toBe(5 * 1024 * MIB);
    expect(fetchMaxBytes({ stagingMaxBytes: 7 })).toBe(7);
  });
});

describe("the target", () => {
  const record = { id: "tr_1", direction: "upload", key: "a/b", system: "daint", path: "/scratch/a" } as const;

  it("of a download is its object, of an upload its file; the two can never be the same", () => {
    expect(targetOf({ ...record, direction: "download" })).toBe("a/b");
    expect(targetOf(record)).toBe("/daint:/scratch/a");
    expect(targetOf({ ...record, system: "eiger" })).not.toBe(targetOf(record));
  });

  it("of a relative path is that of its job, until the directory is known", () => {
    expect(targetOf({ ...record, path: "in.dat", jobId: "job_1" })).toBe("/daint:/job_1/in.dat");
  });
});

describe("the proof of an upload", () => {
  const sent = { size: 3, sha256: "aa" };

  it.each([
    [sent, { size: 3, sha256: "aa" }, { ok: true, proof: "hash" }],
    [sent, { size: 3 }, { ok: true, proof: "size" }],
    [sent, { size: 3, manifest: { sha256: "aa" } }, { ok: true, proof: "manifest" }],
    [sent, { size: 3, manifest: { sha256: "bb" } }, { ok: false, why: "hash_differs" }],
    [{ size: 3 }, { size: 3, sha256: "aa" }, { ok: true, proof: "size" }],
    [sent, { size: 2, sha256: "aa" }, { ok: false, why: "size_differs" }],
    [sent, { size: 3, sha256: "bb" }, { ok: false, why: "hash_differs" }],
    [{ ...sent, verify: "hash" as const }, { size: 3 }, { ok: false, why: "not_provable" }],
  ])("sent as %j and seen as %j is %j", (record, site, verdict) => {
    expect(judgeUpload(record, site)).toMatchObject(verdict);
  });
});

it("asks a site again that has failed, and not one that has refused", () => {
  expect(mayTryAgain("site_error")).toBe(true);
  expect(mayTryAgain("permission_denied")).toBe(false);
});
