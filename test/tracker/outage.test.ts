/** A site that is down for hours: asked ever less, told about once, and caught up with when it is back. */
import { describe, expect, it } from "vitest";
import { inWorld } from "./world.ts";

const HOUR_MS = 3_600_000;
const FAULTS = {
  "its gateway answers 503": { kind: "bad_gateway", status: 503 },
  "nobody answers": { kind: "down" },
  "the machine is not available": { kind: "system_unavailable" },
} as const;

describe.each(["v1", "v2"] as const)("while %s is down", (api) => {
  it.each(Object.keys(FAULTS) as (keyof typeof FAULTS)[])(
    "because %s, it is asked little, and the end is told soon after",
    (name) =>
      inWorld(
        async (world) => {
          const { firecrest, house } = world;
          const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 600\n" });
          await world.until(() => world.job(id).status === "running");
          const { fetch } = firecrest;
          const asked: string[] = [];
          firecrest.fetch = (request) => {
            asked.push(new URL(request.url).pathname);
            return fetch(request);
          };
          const fault = firecrest.faults.add(FAULTS[name] as Parameters<typeof firecrest.faults.add>[0]);
          await world.live(4 * HOUR_MS);
          expect(world.job(id).status).toBe("running");
          // At 10 s a round it would be thousands.
          expect(asked.length).toBeLessThan(500);
          const lastHour = asked.length;
          await world.live(HOUR_MS);
          expect(asked.length - lastHour).toBeLessThan(80);
          firecrest.faults.remove(fault);
          const back = house.now();
          await world.until(() => world.job(id).status === "succeeded");
          expect(house.now() - back).toBeLessThan(7 * 60_000);
          const news = world.events().flatMap(({ type }) => (type.startsWith("connection.") ? [type] : []));
          expect(news).toEqual(["connection.unhealthy", "connection.recovered"]);
        },
        {},
        { api },
      ),
    60_000,
  );
});
