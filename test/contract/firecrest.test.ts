/** The contract of FirecREST clients on the hosts that every machine has. On a real Slurm it runs in `test/slurm`. */
import { describe, expect, it } from "vitest";
import { embeddedSite } from "../support/embedded-site.ts";
import { MEMORY, PROCESS } from "./bench.ts";
import { firecrestContract } from "./suite.ts";

for (const host of [MEMORY, PROCESS]) for (const api of ["v1", "v2"] as const) firecrestContract(api, host);

describe("the v1 client on a site with the defects of the real one", () => {
  it("sees that a release which was answered with success released nothing", async () => {
    const site = await embeddedSite("v1", "1.16.6");
    const home = `/scratch/${site.user}`;
    await site.client.files.upload("cluster", home, "x", new Uint8Array(10));
    const handle = await site.client.stage("cluster", `${home}/x`);
    for (let i = 0; i < 30; i++) {
      const [state] = await site.client.observe([handle]);
      if (state?.state === "done" && state.staging !== undefined) {
        await site.client.release(handle);
        expect((await site.client.probe(state.staging.url)).outcome).toBe("live");
        return;
      }
      await site.advance(1_000);
    }
    expect.unreachable("the file was never staged");
  });
});
