/** The one way to write, and the one list of what is due: what goes wrong in one place stays there. */
import { describe, expect, it } from "vitest";
import { attend } from "../../workers/poller/tracking.ts";
import { inWorld, type World } from "./world.ts";

const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 5\n";
const due = (world: World, kind: string, subject: string) =>
  world.house.row<{ at: number }>("SELECT due_at AS at FROM agenda WHERE kind = ? AND subject = ?", kind, subject)?.at;

describe("a change", () => {
  it("that is committed is no failure because somebody who hears of it fails, and the next one is whole again", () =>
    inWorld(async (world) => {
      const { house } = world;
      house.onCommit = () => {
        throw new Error("a listener broke");
      };
      expect(house.change(() => "committed")).toBe("committed");
      house.onCommit = () => {};

      const broken = () =>
        house.change(() => {
          house.change(() => house.setMeta("inner", "1"));
          throw new Error("the outer one fails");
        });
      expect(broken).toThrow("the outer one fails");
      expect(house.meta("inner")).toBeUndefined();
    }));

  it("that fails sends no hint of what it did not do", () =>
    inWorld(async (world) => {
      const { house } = world;
      const failing = () =>
        house.change(() => {
          house.hint({ queue: "callbacks", message: { v: 1, connection: house.name } });
          throw new Error("no");
        });
      expect(failing).toThrow("no");
      house.change(() => {});
      await Promise.resolve();
      expect(world.queues.callbacks).toEqual([]);
    }));
});

describe("a row that cannot be read", () => {
  it("is put off and told of, and everything else that is due goes on", () => {
    const lines: Record<string, unknown>[] = [];
    return inWorld(
      async (world) => {
        const { house } = world;
        const { id } = await world.submit({ script: SCRIPT });
        house.change(() => {
          house.run(
            "INSERT INTO effects (id, kind, subject, state, attempt, doc) VALUES ('eff_broken', 'submit', 'job_none', 'planned', 0, 'no JSON')",
          );
          house.due("effect", "eff_broken", 0);
        });
        await world.until(() => world.job(id).settledAt !== undefined);
        expect(world.job(id).status).toBe("succeeded");
        expect(due(world, "effect", "eff_broken")).toBeGreaterThan(house.now());
        expect(lines).toContainEqual(
          expect.objectContaining({ event: "agenda.item_failed", kind: "effect", subject: "eff_broken" }),
        );
      },
      {},
      { log: (line) => lines.push(line) },
    );
  });

  it("leaves nothing half done and no hint behind", () =>
    inWorld(async (world) => {
      const { house } = world;
      // A debt whose transfer cannot be read fails after the entry has been taken off the agenda.
      house.change(() => {
        house.run(
          "INSERT INTO debts (id, transfer, open, doc) VALUES ('eff_x', 'tr_x', 1, ?)",
          JSON.stringify({
            id: "eff_x",
            transferId: "tr_x",
            state: "unreleasable",
            openedAt: 0,
            system: "cluster",
            releases: 4,
          }),
        );
        house.run(
          "INSERT INTO transfers (id, job_id, key, status, live, doc) VALUES ('tr_x', NULL, 'k', 'failed', 0, 'no JSON')",
        );
        house.due("debt", "eff_x", 0);
      });
      await world.run(attend(world.desk));
      expect(due(world, "debt", "eff_x")).toBeGreaterThan(house.now());
      expect(house.row("SELECT 1 FROM debts WHERE id = 'eff_x' AND open = 1")).toBeDefined();
    }));
});
