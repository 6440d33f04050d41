import { describe, expect, it } from "vitest";
import { fakeSite, json, output } from "./fake-site.ts";

describe("a v1 site's status", () => {
  const SYSTEMS = {
    description: "List of systems",
    out: [
      { system: "refused", status: "not available", description: "System does not accept connections" },
      { system: "cluster", status: "available", description: "Filesystem /x is not available" },
    ],
  };
  const FILESYSTEMS = { out: { cluster: [{ name: "HOME", path: "/home", status: "available", status_code: 200 }] } };

  it("is read past the site's sixteen-minute cache, in any order", async () => {
    const { client, requests } = fakeSite({
      "GET /status/systems": () => json(200, SYSTEMS),
      "GET /status/filesystems": () => json(200, FILESYSTEMS),
    });
    expect(await client.systems()).toEqual([
      { name: "refused", available: false, description: "System does not accept connections", fileSystems: [] },
      {
        name: "cluster",
        available: true,
        description: "Filesystem /x is not available",
        fileSystems: [{ path: "/home", defaultWorkDir: false }],
      },
    ]);
    expect(requests.every((r) => r.headers.get("cache-control") === "no-cache" && r.system === undefined)).toBe(true);
  });

  it("does without file systems on releases that do not list them", async () => {
    const { client } = fakeSite({ "GET /status/systems": () => json(200, SYSTEMS) });
    expect((await client.systems()).map((s) => s.fileSystems)).toEqual([[], []]);
  });

  it("tells its limits as texts, in MiB, and a file's base64 has to fit", async () => {
    const entry = (name: string, value: unknown) => ({ name, value, unit: "", description: "" });
    const { client } = fakeSite({
      "GET /status/parameters": () =>
        json(200, {
          out: {
            general: [entry("FIRECREST_VERSION", "1.16.6")],
            compute: [entry("WORKLOAD_MANAGER", "Slurm")],
            storage: [
              entry("OBJECT_STORAGE", "s3v4"),
              entry("STORAGE_TEMPURL_EXP_TIME", "604800"),
              entry("STORAGE_MAX_FILE_SIZE", "5120"),
              entry("FILESYSTEMS", [{ system: "cluster", mounted: ["/home"] }]),
            ],
            utilities: [entry("UTILITIES_MAX_FILE_SIZE", "5"), entry("UTILITIES_TIMEOUT", "5")],
          },
        }),
    });
    expect(await client.parameters()).toEqual({
      version: "1.16.6",
      scheduler: "Slurm",
      objectStorage: "s3v4",
      stagingTtlSeconds: 604_800,
      stagingMaxBytes: 5_368_709_120,
      directMaxBytes: 3_932_157,
      directUploadMaxBytes: 5_234_688,
      commandTimeoutSeconds: 5,
    });
  });

  it("names the user behind the credential", async () => {
    const { client } = fakeSite({ "GET /utilities/whoami": () => output("testuser") });
    expect(await client.whoami("cluster")).toBe("testuser");
    const odd = fakeSite({ "GET /utilities/whoami": () => output({ user: {} }) });
    await expect(odd.client.whoami("cluster")).rejects.toMatchObject({ code: "unreadable_answer" });
  });
});
