import { expect, it } from "vitest";
import { OPERATIONS } from "../../../shared/firecrest/v2/operations.ts";
import { createFirecrest } from "../memory.ts";
import { rigOn } from "./testing.ts";

const HOME = "/home/alice";
const TAKES_PATH = /^(F|T)\d+_/;

/** Inside of the home by its letters, whatever else it is. */
const ODD = [
  "it's",
  "$(touch x)",
  "`touch x`",
  "a\nb",
  "a\u0000b",
  "-rf",
  "a;b|c&d",
  'a"b',
  "a\\b",
  "日本語-🔥",
  "x".repeat(5000),
];
const OUTSIDE = ["/etc/passwd", `${HOME}/../../etc/passwd`, `${HOME}/../../../..`, "relative", ""];

async function start() {
  const site = await createFirecrest();
  const rig = rigOn(site, site);
  const ask = async (id: keyof typeof OPERATIONS, path: string): Promise<{ status: number; body: unknown }> => {
    const { method, route } = OPERATIONS[id];
    const url = route.replace("{system}", "cluster");
    const isQuery = method === "GET" || method === "DELETE" || id === "F14_upload";
    const directives = { transferDirectives: { transferMethod: "s3", fileSize: 1 } };
    const json = { path, targetPath: path, linkPath: path, mode: "644", owner: "alice", group: "users", ...directives };
    const query = `?${new URLSearchParams({ path })}`;
    const response = await rig.api(method, isQuery ? url + query : url, isQuery ? {} : { json });
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? null : /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : text,
    };
  };
  return { site, ask };
}

const operations = (Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]).filter((id) => TAKES_PATH.test(id));

it("answers odd paths in FirecREST's own form, whatever operation gets them", async () => {
  const { ask } = await start();
  expect(operations).toHaveLength(23);
  for (const id of operations)
    for (const name of ODD) {
      const { status, body } = await ask(id, `${HOME}/${name}`);
      if (status >= 400)
        expect.soft(body, `${id} ${name.slice(0, 20)}: ${status}`).toMatchObject({ errorType: expect.any(String) });
    }
});

it("does nothing outside of the file systems, by dots or by name", async () => {
  const { site, ask } = await start();
  // Transfers of files do not look where a path is; their jobs, and what they ask of the machine, do.
  for (const id of operations.filter((one) => !/^T[12]_/.test(one)))
    for (const path of OUTSIDE) {
      const { status } = await ask(id, path);
      expect.soft(status, `${id} ${path}`).toBeGreaterThanOrEqual(400);
      expect.soft(status, `${id} ${path}`).toBeLessThan(500);
    }
  expect(await site.host.jobs()).toEqual([]);
});
