import { describe, expect, it } from "vitest";
import { Client, HOME, SCRIPT } from "./testing/client.ts";

describe("defects that can be switched on", () => {
  it("show only ten lines of a viewed file, and the whole one without them", async () => {
    for (const [quirks, lines] of [
      ["none", 30],
      ["1.16.6", 10],
    ] as const) {
      const client = await Client.start({ quirks });
      await client.write(`${HOME}/f`, "line\n".repeat(30));
      const { body } = await client.send("GET", `/utilities/view?targetPath=${HOME}/f`);
      expect((body as { output: string }).output).toBe("line\n".repeat(lines));
    }
  });

  it("leave a task without an owner for a bad environment", async () => {
    for (const [quirks, count] of [
      ["none", 0],
      ["1.16.6", 1],
    ] as const) {
      const client = await Client.start({ quirks });
      const form = new FormData();
      form.set("env", "no json");
      form.set("file", new File([SCRIPT], "job.sh"));
      expect((await client.send("POST", "/compute/jobs/upload", { form })).status).toBe(404);
      const { tasks } = (await client.send("GET", "/tasks/")).body as { tasks: object };
      expect(Object.keys(tasks)).toHaveLength(count);
    }
  });

  it("answer pages for people where JSON is expected", async () => {
    const html = await (await Client.start({ quirks: "1.16.6" })).send("GET", "/utilities/nope");
    expect([html.status, html.headers.get("content-type")]).toEqual([404, expect.stringContaining("text/html")]);
    const json = await (await Client.start()).send("GET", "/utilities/nope");
    expect(json).toMatchObject({ status: 404, body: { description: "Not Found" } });
  });
});
