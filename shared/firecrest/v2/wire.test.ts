import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OPERATIONS } from "./operations.ts";
import * as wire from "./wire.ts";

describe("answers of other releases", () => {
  it("read integer job ids as text", () => {
    expect(wire.SubmittedJob.parse({ jobId: 1234 })).toBe("1234");
    expect(wire.Jobs.parse({ jobs: [{ jobId: 5, status: { state: "RUNNING" } }] })[0]?.id).toBe("5");
  });

  it("read the first releases' state and exit code beside each other", () => {
    const [row] = wire.Jobs.parse({
      jobs: [
        {
          jobId: 1,
          name: "allocation",
          state: { current: ["FAILED"], reason: "None" },
          exitCode: { status: ["ERROR"], returnCode: 8 },
          time: { elapsed: 0, start: 1730968675, end: 1730968675, submission: 1730968674 },
          workingDirectory: "/home/test1",
          partition: "part01",
        },
      ],
    });
    expect(row).toMatchObject({ id: "1", states: ["FAILED"], exitCode: 8, startedAt: 1730968675000 });
  });

  it("read null lists, null times, and times of 0 as nothing", () => {
    expect(wire.Jobs.parse({ jobs: null })).toEqual([]);
    const [row] = wire.Jobs.parse({
      jobs: [{ jobId: "1", status: { state: "PENDING" }, tasks: null, time: { start: 0, end: null } }],
    });
    expect(row).toEqual({ id: "1", states: ["PENDING"], stepStates: [] });
  });

  it("leave out rows without id or state, and keep the others", () => {
    const jobs = [
      {},
      null,
      7,
      { jobId: "1" },
      { jobId: "2", status: { state: [] } },
      { jobId: "3", status: { state: "RUNNING" } },
    ];
    expect(wire.Jobs.parse({ jobs }).map(({ id }) => id)).toEqual(["3"]);
  });

  const job = { jobId: 9, system: "daint", workingDirectory: "/w", logs: { outputLog: "/w/o", errorLog: "/w/e" } };
  const links = { partUrls: ["https://s3/1"], completeUrl: "https://s3/c", partBytes: 8 };

  it.each([
    ["before 2.4", { partsUploadUrls: ["https://s3/1"], completeMultipartUploadUrl: "https://s3/c", maxPartSize: 8 }],
    [
      "2.4",
      {
        transferDirectives: {
          transfer_method: "s3",
          parts_upload_urls: ["https://s3/1"],
          complete_upload_url: "https://s3/c",
          max_part_size: 8,
        },
      },
    ],
    [
      "since 2.5",
      {
        transferDirectives: {
          transferMethod: "s3",
          partsUploadUrls: ["https://s3/1"],
          completeUploadUrl: "https://s3/c",
          maxPartSize: 8,
        },
      },
    ],
  ])("read the links of an upload as they were %s", (_, directives) => {
    const logs = { output: "/w/o", error: "/w/e" };
    expect(wire.UploadStarted.parse({ transferJob: job, ...directives })).toEqual({
      jobId: "9",
      system: "daint",
      logs,
      ...links,
    });
  });

  it("read the link of a download in all three forms", () => {
    for (const body of [
      { downloadUrl: "u" },
      { transferDirectives: { download_url: "u" } },
      { transferDirectives: { downloadUrl: "u" } },
    ]) {
      expect(wire.DownloadStarted.parse({ transferJob: job, ...body }).url).toBe("u");
    }
    expect(
      wire.DownloadStarted.safeParse({
        transferJob: job,
        transferDirectives: { transferMethod: "streamer", coordinates: "x" },
      }).success,
    ).toBe(false);
  });

  it("read a system of 2024 and one of today", () => {
    const [old, now] = wire.Systems.parse({
      systems: [
        {
          name: "cluster-ssh",
          scheduler: { type: "slurm" },
          health: { healthy: false, message: "no route", nodes: { available: 0, total: 1 } },
          fileSystems: [{ path: "/home", dataType: "users", defaultWorkDir: true }],
          timeouts: { sshCommandExecution: 5 },
        },
        {
          name: "daint",
          servicesHealth: null,
          fileSystems: [],
          dataOperation: {
            max_ops_file_size: 5242880,
            data_transfer: { serviceType: "s3", ttl: 60, multipart: { max_part_size: 8 } },
          },
        },
      ],
    });
    expect(old).toMatchObject({
      health: [{ service: "system", healthy: false, message: "no route" }],
      commandTimeoutSeconds: 5,
    });
    expect(now).toEqual({
      name: "daint",
      health: [],
      fileSystems: [],
      maxOpsFileBytes: 5242880,
      transferMethod: "s3",
      stagingTtlSeconds: 60,
      maxPartBytes: 8,
    });
  });

  it("read old names of partitions and reservations", () => {
    expect(wire.Partitions.parse({ partitions: [{ partitionName: "debug", state: ["UP"] }] })).toEqual([
      { name: "debug", states: ["UP"] },
    ]);
    expect(wire.Reservations.parse({ reservations: [{ reservationName: "r", nodes: "n[1-2]" }] })).toEqual([
      { name: "r", nodes: "n[1-2]" },
    ]);
  });
});

describe("names (C6)", () => {
  it.each([
    ["caf\\303\\251.txt", "café.txt"],
    ["new\\nline", "new\nline"],
    ['quote\\"and\\\\slash', 'quote"and\\slash'],
    ["plain name", "plain name"],
    ["bell\\a", "bell\u0007"],
    ["\\360\\237\\224\\245", "🔥"],
    ["lonely \\ backslash", "lonely \\ backslash"],
  ])("%s", (escaped, name) => {
    expect(wire.unescapeName(escaped)).toBe(name);
  });

  it("come back as they were, whatever they hold", () => {
    const escaped = (name: string) =>
      [...new TextEncoder().encode(name)]
        .map((byte) =>
          byte > 126 || byte < 32 || byte === 92 ? `\\${byte.toString(8).padStart(3, "0")}` : String.fromCharCode(byte),
        )
        .join("");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (name) => {
        expect(wire.unescapeName(escaped(name))).toBe(name.toWellFormed());
      }),
    );
  });
});

describe("hostile answers", () => {
  it("are refused or read, but never make a reader throw", () => {
    const readers = Object.values(OPERATIONS).flatMap(({ answer }) => (typeof answer === "string" ? [] : [answer]));
    fc.assert(
      fc.property(fc.constantFrom(...readers), fc.jsonValue(), (reader, body) => {
        expect(reader.safeParse(body).success).toBeTypeOf("boolean");
      }),
    );
  });

  it("cannot reach the prototype through a key", () => {
    const body = JSON.parse('{"jobs":[{"__proto__":{"jobId":"1","status":{"state":"COMPLETED"}}}]}') as unknown;
    expect(wire.Jobs.parse(body)).toEqual([]);
  });

  it("are 35 operations, each once", () => {
    const all = Object.values(OPERATIONS).map(({ method, route }) => `${method} ${route}`);
    expect(new Set(all).size).toBe(35);
  });
});
