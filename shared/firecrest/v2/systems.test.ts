import { describe, expect, it } from "vitest";
import { failure, fakeSite, json } from "./fake-site.ts";

const system = (name: string, more: object = {}) => ({
  name,
  scheduler: { type: "slurm" },
  ssh: { timeout: { commandExecution: 5 } },
  fileSystems: [{ path: "/home", dataType: "users", defaultWorkDir: true }],
  servicesHealth: [],
  dataOperation: { max_ops_file_size: 5_242_880, data_transfer: null },
  ...more,
});
const bad = (serviceType: string, message: string | null = null) => ({ serviceType, healthy: false, message });
const systems = (...all: object[]) => fakeSite(() => json({ systems: all }));

describe("systems", () => {
  it("C22, fact 6: are available unless scheduler or SSH is flagged, and say what is", async () => {
    const site = systems(
      system("well"),
      system("unknown", { servicesHealth: null }),
      system("down", { servicesHealth: [bad("scheduler", "no answer"), { serviceType: "ssh", healthy: true }] }),
      system("no-store", { servicesHealth: [bad("s3")] }),
      system("no-disk", { servicesHealth: [{ ...bad("filesystem"), path: "/scratch" }] }),
    );
    expect(
      (await site.client.systems()).map(({ name, available, description }) => [name, available, description]),
    ).toEqual([
      ["well", true, "slurm"],
      ["unknown", true, "slurm"],
      ["down", false, "scheduler: no answer"],
      ["no-store", true, "s3: unhealthy"],
      ["no-disk", true, "filesystem /scratch: unhealthy"],
    ]);
  });

  it("consist of services, each with the time of its check; the site's health checks have a pulse", async () => {
    const lastChecked = "2026-11-22T13:36:44.588533Z";
    const site = fakeSite(({ path }) =>
      path === "/status/liveness/"
        ? json({ healthcheckRuns: { my_cluster: lastChecked, broken: null }, lastUpdate: 8 })
        : json({
            systems: [
              system("my_cluster", {
                servicesHealth: [
                  { serviceType: "scheduler", healthy: true, lastChecked, message: null },
                  { ...bad("filesystem", "stale handle"), path: "/scratch", lastChecked: "yesterday" },
                ],
              }),
            ],
          }),
    );
    const scheduler = { name: "my_cluster/scheduler", system: "my_cluster", available: true, description: "healthy" };
    const checked = { ...scheduler, checkedAt: Date.parse(lastChecked) };
    expect(await site.client.services()).toEqual([
      checked,
      {
        name: "my_cluster/filesystem/scratch",
        system: "my_cluster",
        available: false,
        description: "stale handle",
      },
    ]);
    expect(await site.client.service("my_cluster/scheduler")).toEqual(checked);
    await expect(site.client.service("compute")).rejects.toMatchObject({ code: "not_found", retry: "never" });
    expect(await site.client.heartbeats()).toEqual([
      { name: "my_cluster", alive: true, at: Date.parse(lastChecked) },
      { name: "broken", alive: false },
    ]);
  });

  it("give the parameters that hold everywhere, from a field that mixes its cases", async () => {
    const transfer = { serviceType: "s3", ttl: 604_800, multipart: { max_part_size: 8_388_608 } };
    const site = systems(
      system("a", { dataOperation: { max_ops_file_size: 5_242_880, data_transfer: transfer } }),
      system("b", { ssh: { timeout: { commandExecution: 10 } } }),
    );
    expect(await site.client.parameters()).toEqual({
      version: "2.5.7",
      scheduler: "slurm",
      objectStorage: "s3",
      stagingTtlSeconds: 604_800,
      stagingMaxBytes: 83_886_080_000,
      directMaxBytes: 3_932_157,
      directUploadMaxBytes: 5_242_880,
      commandTimeoutSeconds: 5,
    });
  });

  it("tell little when the site tells little", async () => {
    expect(await fakeSite(() => json({ systems: [{ name: "a" }] })).client.parameters()).toEqual({ version: "2.5.7" });
  });

  it("tell the user behind the credential", async () => {
    const site = fakeSite(() =>
      json({ user: { id: "3001", name: "ada" }, group: { name: "g" }, groups: [], accounts: null }),
    );
    expect(await site.client.whoami("daint")).toBe("ada");
    expect(site.asked).toEqual(["GET /status/daint/userinfo"]);
    await expect(fakeSite(() => failure(404, "System not found")).client.whoami("x")).rejects.toMatchObject({
      code: "unknown_system",
    });
    await expect(fakeSite(() => json({ user: null })).client.whoami("x")).rejects.toMatchObject({
      code: "unreadable_answer",
    });
  });
});
