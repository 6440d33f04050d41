import { describe, expect, it } from "vitest";
import { HASH_MAX_BYTES, judge, type OurSide, proofFor, type SiteSide } from "./proof.ts";

describe("the proof to copy for", () => {
  it.each([
    [undefined, HASH_MAX_BYTES, false, "hash"],
    [undefined, HASH_MAX_BYTES, true, "manifest"],
    [undefined, HASH_MAX_BYTES + 1, true, "manifest"],
    [undefined, HASH_MAX_BYTES + 1, false, "size"],
    ["hash", 1, false, "hash"],
    ["manifest", 1, false, "manifest"],
    ["manifest", HASH_MAX_BYTES + 1, false, "manifest"],
    ["size", 1, true, "size"],
  ] as const)("asked for %s, %d bytes, in pieces: %s → %s", (verify, bytes, inPieces, proof) => {
    const pieces = { directory: "/d", pieceBytes: 1, at: 0 };
    const asked = verify === undefined ? {} : { verify };
    expect(proofFor(inPieces ? { ...asked, pieces } : asked, bytes)).toBe(proof);
  });
});

describe("a copy", () => {
  const asked = { size: 3, mtime: 7 };
  const ours = (facts: Partial<OurSide> = {}): OurSide => ({ bytes: 3, parts: [], ...facts });
  const site = (facts: Partial<SiteSide> = {}): SiteSide => ({ size: 3, mtime: 7, ...facts });
  const manifest = { sha256: "whole", parts: ["p1", "p2"] };
  const parts = [
    { n: 1, sha256: "p1" },
    { n: 2, sha256: "p2" },
  ];

  it("is proven by hash when both agree, whatever the times say", () => {
    const verdict = judge(asked, ours({ sha256: "aa" }), site({ mtime: 8, sha256: "aa" }));
    expect(verdict).toEqual({ ok: true, proof: "hash", sha256: "aa" });
    expect(judge(asked, ours({ sha256: "aa" }), site({ sha256: "bb" }))).toEqual({ ok: false, why: "hash_differs" });
  });

  it("is proven by size and time where the site could not hash, unless more was asked for", () => {
    expect(judge(asked, ours({ sha256: "aa" }), site())).toEqual({ ok: true, proof: "size" });
    expect(judge(asked, ours(), site({ mtime: 8 }))).toEqual({ ok: false, why: "changed_meanwhile" });
    expect(judge({ ...asked, verify: "hash" }, ours({ sha256: "aa" }), site())).toEqual({ ok: false, why: "no_hash" });
    expect(judge({ ...asked, verify: "manifest" }, ours({ parts }), site())).toEqual({ ok: false, why: "no_manifest" });
  });

  it("never is when bytes are missing", () => {
    const short = ours({ bytes: 2, sha256: "aa", parts });
    expect(judge(asked, short, site({ sha256: "aa", manifest }))).toEqual({ ok: false, why: "size_differs" });
  });

  it("is proven by manifest when each of its parts is there and right, and takes the hash of the whole from it", () => {
    expect(judge(asked, ours({ parts }), site({ manifest }))).toEqual({ ok: true, proof: "manifest", sha256: "whole" });
    const whole = judge(asked, ours({ sha256: "whole" }), site({ manifest }));
    expect(whole).toEqual({ ok: true, proof: "manifest", sha256: "whole" });
  });

  it("tells which parts are wrong, missing or without a hash", () => {
    const wrong = (copied: OurSide["parts"]) => judge(asked, ours({ parts: copied }), site({ manifest }));
    expect(
      wrong([
        { n: 1, sha256: "p1" },
        { n: 2, sha256: "xx" },
      ]),
    ).toMatchObject({ why: "parts_differ", parts: [2] });
    expect(wrong([{ n: 2, sha256: "p2" }])).toMatchObject({ why: "parts_differ", parts: [1] });
    expect(wrong([{ n: 1, sha256: "p1" }, { n: 2 }])).toMatchObject({ why: "parts_differ", parts: [2] });
    expect(wrong([...parts, { n: 3, sha256: "p3" }])).toMatchObject({ why: "parts_differ", parts: [] });
  });

  it("is not proven by the manifest of another state of the file", () => {
    const verdict = judge({ ...asked, mtime: 6 }, ours({ parts }), site({ manifest }));
    expect(verdict).toEqual({ ok: false, why: "changed_meanwhile" });
  });
});
