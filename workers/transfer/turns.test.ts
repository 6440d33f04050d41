import { describe, expect, it } from "vitest";
import { Turns } from "./turns.ts";

const never = new AbortController().signal;
/** A task that ends when it is told to. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = () => {
    task.begun = true;
    return promise;
  };
  const task = { begun: false, end: resolve, run };
  return task;
}
const tick = () => new Promise((resolve) => setImmediate(resolve));

describe("works that take turns", () => {
  it("are at most so many at once, and each gets its turn in the end", async () => {
    const turns = new Turns(2);
    const tasks = [held(), held(), held(), held()];
    const all = tasks.map(({ run }) => turns.take(never, run));
    await tick();
    expect(tasks.map(({ begun }) => begun)).toEqual([true, true, false, false]);
    tasks[1]?.end();
    await tick();
    expect(tasks.map(({ begun }) => begun)).toEqual([true, true, true, false]);
    for (const { end } of tasks) end();
    await Promise.all(all);
    expect(tasks.every(({ begun }) => begun)).toBe(true);
  });

  it("give theirs up as soon as nobody wants them, to whoever waits behind", async () => {
    const turns = new Turns(1);
    const [first, second, third] = [held(), held(), held()];
    const stop = new AbortController();
    const running = turns.take(never, first.run);
    const unwanted = turns.take(stop.signal, second.run);
    const last = turns.take(never, third.run);
    stop.abort(new Error("cancelled"));
    await expect(unwanted).rejects.toThrow("cancelled");
    first.end();
    await running;
    await tick();
    expect([second.begun, third.begun]).toEqual([false, true]);
    third.end();
    await last;
  });

  it("give it back when they fail", async () => {
    const turns = new Turns(1);
    await expect(turns.take(never, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(await turns.take(never, async () => "done")).toBe("done");
  });
});
