import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/**
 * `unit`: pure code and local programs in Node. `poller`: the Tracker inside workerd. `journeys`: the three real Workers
 * built from wrangler.toml, driven from outside. `slurm`: the same on a real Slurm, where one is up and FIREWATCH_SLURM=1.
 * `conformance`: the official Python client on the embedded FirecREST, with FIREWATCH_CONFORMANCE=1. `live`: reads from the
 * site that FIREWATCH_LIVE_URL names.
 */
export default defineConfig({
  test: {
    // Most of the time tests wait for processes and clocks, so more files than processors run at once.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: "unit",
          environment: "node",
          include: [
            "shared/**/*.test.ts",
            "local/**/*.test.ts",
            "workers/{api,transfer}/**/*.test.ts",
            "tools/**/*.test.ts",
            "bench/**/*.test.ts",
          ],
          testTimeout: 30_000,
          // Starting anew for each of so many small files would take longer than most of them.
          isolate: false,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml", environment: "poller" },
            miniflare: {
              cf: false,
              bindings: {
                SEAL_KEYS: '[{"kid":"t","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]',
                // A run of chaos is repeated by its seed.
                CHAOS_SEED: process.env.CHAOS_SEED ?? "",
                SOAK_SEED: process.env.SOAK_SEED ?? "",
                SOAK_FILES: process.env.SOAK_FILES ?? (process.env.CI ? "200" : ""),
                CHAOS_JOBS: process.env.CHAOS_JOBS ?? (process.env.CI ? "200" : ""),
              },
            },
          }),
        ],
        test: { name: "poller", include: ["test/tracker/**/*.test.ts"], testTimeout: 120_000 },
      },
      {
        test: {
          name: "journeys",
          environment: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/tracker/**", "test/slurm/**", "test/conformance/**", "test/live/**"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: { name: "conformance", environment: "node", include: ["test/conformance/**/*.test.ts"] },
      },
      {
        test: { name: "live", environment: "node", include: ["test/live/**/*.test.ts"] },
      },
      {
        test: {
          name: "slurm",
          environment: "node",
          include: ["test/slurm/**/*.test.ts"],
          // One node, and the slowest time limit is a minute.
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
