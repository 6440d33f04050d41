import { describe, expect, it } from "vitest";
import { fakeSite, json } from "./fake-site.ts";

const REQUEST = { nodes: 2, nodeType: "gpu", startsAt: "2026-12-01T08:00:00", endsAt: "2026-12-01T18:00:00" };
const FORM = { numberOfNodes: "2", nodeType: "gpu", starttime: REQUEST.startsAt, endtime: REQUEST.endsAt };

describe("v1's tool for reservations", () => {
  it("lists, makes, changes and removes them by forms, the machine in its header", async () => {
    const site = fakeSite({
      "GET /reservations": () =>
        json(200, { success: [{ reservationname: "class", state: "ACTIVE", nodes: "nid[1-2]", nodecnt: "2" }, {}] }),
      "POST /reservations": () => json(201, { success: "made" }),
      "PUT /reservations/class": () => json(200, { success: "changed" }),
      "DELETE /reservations/class": () => new Response(null, { status: 204 }),
    });
    const { reserving } = site.client;
    expect(await reserving.list("daint")).toEqual([{ name: "class", state: "ACTIVE", nodes: "nid[1-2]" }]);
    await reserving.create("daint", "class", "csstaff", REQUEST);
    await reserving.change("daint", "class", REQUEST);
    await reserving.remove("daint", "class");
    expect(site.requests.map(({ form }) => form)).toEqual([
      {},
      { reservation: "class", account: "csstaff", ...FORM },
      FORM,
      {},
    ]);
    expect(site.requests.every(({ system }) => system === "daint")).toBe(true);
  });

  it("is told nothing that its command would not take", async () => {
    const { client, requests } = fakeSite({});
    const bad = (work: Promise<unknown>) =>
      expect(work).rejects.toMatchObject({ code: "invalid_request", retry: "never" });
    await bad(client.reserving.create("daint", "Class", "csstaff", REQUEST));
    await bad(client.reserving.create("daint", "a/../b", "csstaff", REQUEST));
    await bad(client.reserving.create("daint", "class", "$(id)", REQUEST));
    await bad(client.reserving.change("daint", "class", { ...REQUEST, nodes: 0 }));
    await bad(client.reserving.change("daint", "class", { ...REQUEST, startsAt: "tomorrow" }));
    await bad(client.reserving.change("daint", "class", { ...REQUEST, endsAt: REQUEST.startsAt }));
    await bad(client.reserving.remove("daint", "it's"));
    expect(requests).toEqual([]);
  });

  it("says so in the site's words where the site has none, and may have acted when the answer is lost", async () => {
    const without = fakeSite({
      "POST /reservations": () =>
        json(400, {
          error: "Error creating reservation",
          description: "failed to run command 'rsvmgmt': No such file",
        }),
    });
    await expect(without.client.reserving.create("daint", "class", "csstaff", REQUEST)).rejects.toMatchObject({
      code: "not_supported",
      retry: "never",
      message: expect.stringContaining("rsvmgmt"),
    });
    const lost = fakeSite({
      "DELETE /reservations/class": () => {
        throw new TypeError("connection lost");
      },
    });
    await expect(lost.client.reserving.remove("daint", "class")).rejects.toMatchObject({ retry: "after_check" });
  });
});
