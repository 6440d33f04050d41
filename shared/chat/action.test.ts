import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toBase64 } from "../bytes.ts";
import { bindAction, bindActions, readAction } from "./action.ts";

const key = toBase64(new Uint8Array(32).fill(7));
const other = toBase64(new Uint8Array(32).fill(8));
const action = { connection: "cscs-hpc", job: "job_01jd8x0f3q8y2k5v7n9r4t6wzb", act: "cancel" } as const;

describe("a button", () => {
  it("means what it was made for, in its own workspace only", async () => {
    const token = await bindAction(key, action);
    expect(await readAction(key, token)).toEqual(action);
    expect(await readAction(other, token)).toBeUndefined();
    expect(token.length).toBeLessThan(255);
  });

  it("cannot be made to mean another job, act or connection", async () => {
    const token = await bindAction(key, action);
    const changed = [
      token.replace("cancel", "resubmit"),
      token.replace("cscs-hpc", "cscs-ml"),
      token.replace("wzb", "wzc"),
      token.slice(0, -1),
      `${token}A`,
      token.slice(0, token.lastIndexOf(":")),
      "",
    ];
    for (const text of changed) expect(await readAction(key, text)).toBeUndefined();
  });

  it("that proposes something is bound to what it proposes", async () => {
    const more = { ...action, act: "more", proposal: { timeLimitSeconds: 7_200 } } as const;
    const token = await bindAction(key, more);
    expect(await readAction(key, token)).toEqual(more);
    expect(await readAction(key, token.replace("7200", "9200"))).toBeUndefined();
    expect(await readAction(key, token.replace(":7200,", ""))).toBeUndefined();
    const memory = { ...action, act: "more", proposal: { memoryMiB: 8_192 } } as const;
    expect(await readAction(key, await bindAction(key, memory))).toEqual(memory);
    const job = { connection: action.connection, id: action.job };
    expect(Object.keys(await bindActions(key, job, {}))).not.toContain("more");
    expect(await readAction(key, (await bindActions(key, job, { memoryMiB: 8_192 })).more)).toEqual(memory);
  });

  it("is not made of anything that somebody sends", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.jsonValue()), async (sent) => {
        expect(await readAction(key, sent)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });
});
