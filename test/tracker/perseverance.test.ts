/** How long work is gone on with: what gets further is never given up, and what does not is not tried for ever. */
import { describe, expect, it } from "vitest";
import { DEADLINE_MS } from "../../shared/domain/effect.ts";
import { cancelTransfer } from "../../workers/poller/accept.ts";
import * as bytes from "../../workers/poller/bytes.ts";
import { attend } from "../../workers/poller/tracking.ts";
import { content } from "./up.ts";
import { inWorld, type World } from "./world.ts";

const PART = 5 * 1024 * 1024;
const FILE = "/scratch/alice/large";

/** The newest effect of a kind, and its state. */
const effectOf = (world: World, kind: string) =>
  world.house.row<{ id: string; state: string; due: number | null }>(
    `SELECT e.id, e.state, a.due_at AS due FROM effects e LEFT JOIN agenda a ON a.kind = 'effect' AND a.subject = e.id
     WHERE e.kind = ? ORDER BY e.id DESC LIMIT 1`,
    kind,
  );

/** A transfer of a staged file whose bytes this test moves itself. */
async function copyingByHand(world: World): Promise<{ id: string; copy: string }> {
  const { files } = await world.firecrest.host.as("alice");
  await files.write(FILE, content(1_000));
  world.fate = (queue) => (queue === "transfers" ? "drop" : "deliver");
  const { id } = await world.download(FILE, "large", { verify: "size" });
  await world.until(() => effectOf(world, "copy") !== undefined);
  return { id, copy: effectOf(world, "copy")?.id ?? "" };
}

async function later(world: World, ms: number): Promise<void> {
  await world.firecrest.clock.advance(ms);
  await world.run(attend(world.desk));
}

describe("a copy", () => {
  it("that gets further with each invocation is not given up because it took many of them", () =>
    inWorld(async (world) => {
      const { id, copy } = await copyingByHand(world);
      for (let n = 1; n <= 70; n++) {
        expect(await bytes.beginBytes(world.desk, copy)).toMatchObject({ go: true });
        if (n === 1) bytes.copyStarted(world.house, copy, { uploadId: "u", partBytes: PART, totalBytes: 1_000 });
        bytes.partsDone(world.house, copy, [{ n, etag: `"${n}"`, bytes: PART }]);
        bytes.finishBytes(world.house, copy, { kind: "paused" }, n);
      }
      await bytes.beginBytes(world.desk, copy);
      bytes.finishBytes(world.house, copy, { kind: "failed", why: "later", detail: "the store did not answer" }, 71);
      expect(world.transfer(id).status).toBe("copying");
      // After news as good as these, it is tried again soon.
      expect((effectOf(world, "copy")?.due ?? 0) - world.house.now()).toBeLessThan(10_000);
    }));

  it("that gets no further is given up after a day of trying, also when nobody reports why", () =>
    inWorld(async (world) => {
      const { id, copy } = await copyingByHand(world);
      for (let n = 1; n <= 80 && world.transfer(id).status !== "failed"; n++) {
        await bytes.beginBytes(world.desk, copy);
        await later(world, DEADLINE_MS.copy + 1_000);
        await later(world, 300_000);
      }
      expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "copy_failed" });
    }));

  it("goes on when one Worker is lost", () =>
    inWorld(async (world) => {
      const { id, copy } = await copyingByHand(world);
      await bytes.beginBytes(world.desk, copy);
      await later(world, DEADLINE_MS.copy + 1_000);
      world.fate = () => "deliver";
      await world.until(() => world.transfer(id).status === "stored");
    }));

  it("is not waited with for longer than an hour, whatever a store asks for", () =>
    inWorld(async (world) => {
      const { copy } = await copyingByHand(world);
      await bytes.beginBytes(world.desk, copy);
      const asked = { retryAfterSeconds: 9_999_999_999_999 };
      bytes.finishBytes(world.house, copy, { kind: "failed", why: "later", detail: "busy", ...asked }, 1);
      expect((effectOf(world, "copy")?.due ?? 0) - world.house.now()).toBeLessThanOrEqual(3_600_000);
    }));
});

describe("a file from elsewhere", () => {
  it("whose server lets every invocation hang is given up", () =>
    inWorld(async (world) => {
      world.fate = (queue) => (queue === "transfers" ? "drop" : "deliver");
      const { id } = await world.upload("/scratch/alice/in", { url: "https://receiver.test/slow" });
      const fetching = effectOf(world, "fetch")?.id ?? "";
      for (let n = 1; n <= 30 && world.transfer(id).status !== "failed"; n++) {
        await bytes.beginBytes(world.desk, fetching);
        await later(world, DEADLINE_MS.fetch + 1_000);
        await later(world, 300_000);
      }
      expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "source_unusable" });
    }));
});

describe("a cancel", () => {
  it("that comes while the proven object is being made is too late, and says so", () =>
    inWorld(async (world) => {
      const { id, copy } = await copyingByHand(world);
      await bytes.beginBytes(world.desk, copy);
      bytes.copyStarted(world.house, copy, { uploadId: "u", partBytes: PART, totalBytes: 1_000 });
      bytes.partsDone(world.house, copy, [{ n: 1, etag: '"1"', bytes: 1_000 }]);
      bytes.finishBytes(world.house, copy, { kind: "copied", totalBytes: 1_000 }, 1);
      await world.until(() => effectOf(world, "complete") !== undefined);
      const complete = effectOf(world, "complete")?.id ?? "";
      await bytes.beginBytes(world.desk, complete);
      expect(cancelTransfer(world.house, { name: "admin" }, id, {})).toMatchObject({ ok: false, code: "conflict" });
      bytes.finishBytes(world.house, complete, { kind: "completed", etag: '"e"', bytes: 1_000 }, 1);
      expect(world.transfer(id).status).toBe("stored");
    }));
});
