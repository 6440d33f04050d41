/**
 * FirecREST's operations side by side: on v1, on v2, at the port and at our own door, whether each may be sent again, and what
 * tests it. No route and no method can be forgotten.
 */
import { AGAIN, type Again } from "../shared/firecrest/retry.ts";

type PortMethod = keyof typeof AGAIN;

/** What the code knows. Routes are `METHOD /path`. */
export interface Known {
  v1: readonly string[];
  v2: Readonly<Record<string, { method: string; route: string }>>;
  /** Below `/v1/connections/{c}`. */
  ours: readonly string[];
}

interface Row {
  does: string;
  v1?: readonly string[];
  /** Ids of operations. */
  v2?: readonly string[];
  /** Methods of the port. */
  port: readonly PortMethod[];
  /** Our routes, or in words why there is none. */
  ours: readonly string[] | string;
  /** Test files; the Python suites of test/conformance/ go through all of them besides. */
  tests: readonly string[];
}

const V1 = "local/firecrest/v1";
const V2 = "local/firecrest/v2";
const FILES = ["shared/firecrest/v1/files.test.ts", "shared/firecrest/v2/files.test.ts"];
const JOBS = ["shared/firecrest/v1/client.test.ts", "shared/firecrest/v2/jobs.test.ts"];
const ROUNDS = ["shared/firecrest/v1/round.test.ts", "shared/firecrest/v2/round.test.ts"];
const STAGING = ["shared/firecrest/v1/storage.test.ts", "shared/firecrest/v2/transfers.test.ts"];
const CAPTURES = [`${V1}/captures.test.ts`, `${V2}/parity.test.ts`];

const file = (
  does: string,
  v1: string,
  v2: string,
  method: Extract<PortMethod, `files.${string}`>,
  ours: string,
  tests = FILES,
): Row => ({
  does,
  v1: [v1],
  v2: [v2],
  port: [method],
  ours: [ours],
  tests,
});
const SYSTEM = ["GET /systems", "GET /systems/{s}"];
const WITHIN = "within the life of a job";
const MACHINE = ["test/contract/firecrest.test.ts", ...CAPTURES];

const ROWS: readonly Row[] = [
  {
    does: "systems and their health",
    v1: ["GET /status/systems", "GET /status/systems/:name"],
    v2: ["S1_systems"],
    port: ["systems"],
    ours: SYSTEM,
    tests: ["shared/firecrest/v1/client.test.ts", "shared/firecrest/v2/systems.test.ts"],
  },
  {
    does: "parameters and file systems",
    v1: ["GET /status/parameters", "GET /status/filesystems", "GET /status/filesystems/:name"],
    v2: ["S1_systems"],
    port: ["parameters"],
    ours: SYSTEM,
    tests: CAPTURES,
  },
  {
    does: "services and liveness",
    v1: [
      "GET /status/services",
      "GET /status/services/:name",
      ...["compute", "storage", "utilities", "tasks", "reservations"].map((service) => `GET /${service}/status`),
    ],
    v2: ["S6_liveness"],
    port: ["services", "service", "heartbeats"],
    ours: ["GET /services"],
    tests: [
      "test/contract/firecrest.test.ts",
      "shared/firecrest/v1/services.test.ts",
      "shared/firecrest/v2/systems.test.ts",
      ...CAPTURES,
    ],
  },
  {
    does: "who I am",
    v1: ["GET /utilities/whoami"],
    v2: ["S5_userinfo"],
    port: ["whoami"],
    ours: WITHIN,
    tests: CAPTURES,
  },
  {
    does: "nodes",
    v1: ["GET /compute/nodes", "GET /compute/nodes/:name"],
    v2: ["S2_nodes"],
    port: ["nodes"],
    ours: ["GET /systems/{s}/nodes"],
    tests: MACHINE,
  },
  {
    does: "partitions",
    v1: ["GET /compute/partitions"],
    v2: ["S4_partitions"],
    port: ["partitions"],
    ours: ["GET /systems/{s}/partitions"],
    tests: MACHINE,
  },
  {
    does: "reservations, read",
    v1: ["GET /compute/reservations"],
    v2: ["S3_reservations"],
    port: ["reservations"],
    ours: ["GET /systems/{s}/reservations"],
    tests: MACHINE,
  },
  {
    does: "reservations, changed",
    v1: ["GET", "POST", "PUT", "DELETE"].flatMap((method) => [
      `${method} /reservations`,
      `${method} /reservations/:name`,
    ]),
    port: ["reserving.list", "reserving.create", "reserving.change", "reserving.remove"],
    ours: "no route: deprecated, gone with v1, and of use only where a site has the tool",
    tests: ["test/contract/firecrest.test.ts", "shared/firecrest/v1/reserving.test.ts", `${V1}/captures.test.ts`],
  },
  {
    does: "submit",
    v1: ["POST /compute/jobs/upload", "POST /compute/jobs/path"],
    v2: ["J1_submit"],
    port: ["submit", "findByName"],
    ours: ["POST /jobs", "POST /jobs/{id}/resubmit"],
    tests: [...JOBS, `${V1}/compute.test.ts`, `${V2}/app.test.ts`],
  },
  {
    does: "states of many jobs",
    v1: ["GET /compute/acct", "GET /compute/jobs"],
    v2: ["J2_list"],
    port: ["round"],
    ours: ["GET /jobs", "GET /jobs/{id}/events"],
    tests: ROUNDS,
  },
  {
    does: "state of one job",
    v1: ["GET /compute/jobs/:jobid"],
    v2: ["J3_get"],
    port: ["round"],
    ours: ["GET /jobs/{id}"],
    tests: ROUNDS,
  },
  {
    does: "script and paths of a job",
    v2: ["J4_metadata"],
    port: ["outputPaths"],
    ours: ["GET /jobs/{id}/logs"],
    tests: [`${V2}/app.test.ts`],
  },
  {
    does: "cancel",
    v1: ["DELETE /compute/jobs/:jobid"],
    v2: ["J6_cancel"],
    port: ["cancel"],
    ours: ["POST /jobs/{id}/cancel"],
    tests: JOBS,
  },
  {
    does: "run a command beside a job",
    v2: ["J5_attach"],
    port: ["attach"],
    ours: ["POST /jobs/{id}/attach"],
    tests: ["test/contract/firecrest.test.ts", "shared/firecrest/v2/jobs.test.ts", "test/journeys/files.test.ts"],
  },
  {
    does: "tasks",
    v1: ["GET /tasks", "GET /tasks/", "GET /tasks/:id"],
    port: ["observe"],
    ours: WITHIN,
    tests: [`${V1}/captures.test.ts`, `${V1}/faults.test.ts`],
  },
  {
    does: "stage a file out",
    v1: ["POST /storage/xfer-external/download"],
    v2: ["T2_download"],
    port: ["stage", "findStaged", "observe", "probe"],
    ours: ["POST /transfers", "GET /transfers", "GET /transfers/{id}"],
    tests: [...STAGING, "test/journeys/copy.test.ts"],
  },
  {
    does: "stage a file in",
    v1: ["POST /storage/xfer-external/upload"],
    v2: ["T1_upload"],
    port: ["stageUpload", "findUpload", "observe"],
    ours: ["POST /transfers", "POST /jobs"],
    tests: [...STAGING, "test/journeys/uploads.test.ts"],
  },
  {
    does: "release a staged link",
    v1: ["POST /storage/xfer-external/invalidate"],
    port: ["release"],
    ours: "by itself, and proven",
    tests: [`${V1}/storage.test.ts`, "test/journeys/main.test.ts"],
  },
  {
    does: "move, copy, remove, pack, unpack as a job",
    v1: ["POST /storage/xfer-internal/:operation"],
    v2: ["T3_move", "T4_copy", "T5_remove", "T6_compress", "T7_extract"],
    port: ["fileJob", "observe"],
    ours: ["move", "copy", "compress", "extract", "rsync", "rm"].map((op) => `POST /systems/{s}/files/${op}`),
    tests: ["test/journeys/files.test.ts", `${V1}/storage.test.ts`, `${V2}/process.test.ts`],
  },
  file("list a directory", "GET /utilities/ls", "F1_ls", "files.ls", "GET /systems/{s}/files/ls"),
  file("stat", "GET /utilities/stat", "F7_stat", "files.stat", "GET /systems/{s}/files/stat"),
  file("first lines", "GET /utilities/head", "F2_head", "files.head", "GET /systems/{s}/files/head"),
  file("last lines", "GET /utilities/tail", "F3_tail", "files.tail", "GET /systems/{s}/files/tail"),
  file("whole text", "GET /utilities/view", "F4_view", "files.view", "GET /systems/{s}/files/view"),
  file("SHA-256", "GET /utilities/checksum", "F5_checksum", "files.checksum", "GET /systems/{s}/files/checksum"),
  file("kind of file", "GET /utilities/file", "F6_file", "files.fileType", "GET /systems/{s}/files/file"),
  file(
    "small file down",
    "GET /utilities/download",
    "F13_download",
    "files.download",
    "GET /systems/{s}/files/download",
  ),
  file("small file up", "POST /utilities/upload", "F14_upload", "files.upload", "POST /systems/{s}/files/upload"),
  file("make a directory", "POST /utilities/mkdir", "F9_mkdir", "files.mkdir", "POST /systems/{s}/files/mkdir"),
  file("move", "PUT /utilities/rename", "T3_move", "files.move", "POST /systems/{s}/files/move"),
  file("copy", "POST /utilities/copy", "T4_copy", "files.copy", "POST /systems/{s}/files/copy"),
  file("link", "POST /utilities/symlink", "F10_symlink", "files.symlink", "POST /systems/{s}/files/symlink"),
  file("mode", "PUT /utilities/chmod", "F11_chmod", "files.chmod", "POST /systems/{s}/files/chmod"),
  file("owner", "PUT /utilities/chown", "F12_chown", "files.chown", "POST /systems/{s}/files/chown"),
  file("pack", "POST /utilities/compress", "F15_compress", "files.compress", "POST /systems/{s}/files/compress"),
  file("unpack", "POST /utilities/extract", "F16_extract", "files.extract", "POST /systems/{s}/files/extract"),
  file("remove", "DELETE /utilities/rm", "F8_rm", "files.remove", "POST /systems/{s}/files/rm"),
];

/**
 * The rows of the table, as Markdown cells below `HEAD`. Throws for a route of FirecREST without a row, and for a route or a
 * test file that is not there.
 */
export function firecrestRows(known: Known, hasFile: (path: string) => boolean): string[][] {
  const ours = (row: Row) => (typeof row.ours === "string" ? [] : row.ours);
  const wrong = [
    ...lacking("v1 without a row", known.v1, rowsOf("v1")),
    ...lacking("v2 without a row", Object.keys(known.v2), rowsOf("v2")),
    ...lacking("no such v1 route", rowsOf("v1"), known.v1),
    ...lacking("no such v2 operation", rowsOf("v2"), Object.keys(known.v2)),
    ...lacking("no such route of ours", ROWS.flatMap(ours), known.ours),
    ...lacking(
      "no row for the port's",
      Object.keys(AGAIN),
      ROWS.flatMap(({ port }) => port),
    ),
    ...[...new Set(ROWS.flatMap(({ tests }) => tests))]
      .filter((test) => !hasFile(test))
      .map((test) => `no such test: ${test}`),
  ];
  if (wrong.length > 0) throw new Error(`tools/firecrest-table.ts: ${wrong.join("; ")}`);
  return ROWS.map((row) => [
    row.does,
    code(row.v1 ?? []),
    code((row.v2 ?? []).map((id) => `${known.v2[id]?.method} ${known.v2[id]?.route}`)),
    row.port.map((method) => `\`${method}\` ${WORDS[AGAIN[method]]}`).join("<br>"),
    typeof row.ours === "string" ? row.ours : code(row.ours),
    row.tests.map((test) => `[${nameOf(test)}](../${test})`).join("<br>"),
  ]);
}

/** Whether it is sent again when its answer was lost. */
const WORDS: Record<Again, string> = { blindly: "again", after_check: "after a look", never: "never" };

export const HEAD = ["What", "v1", "v2", "Port, and whether again", "Firewatch, below `/v1/connections/{c}`", "Tests"];

const rowsOf = (api: "v1" | "v2"): string[] => ROWS.flatMap((row) => row[api] ?? []);

function lacking(problem: string, wanted: readonly string[], there: readonly string[]): string[] {
  return wanted.filter((one) => !there.includes(one)).map((one) => `${problem}: ${one}`);
}

const code = (routes: readonly string[]): string =>
  routes.length === 0 ? "–" : routes.map((route) => `\`${route}\``).join("<br>");

const nameOf = (test: string): string => test.split("/").slice(-2).join("/").replace(".test.ts", "");
