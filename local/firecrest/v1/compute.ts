/** `/compute`: jobs, accounting, nodes. Every call makes a task and answers with its id. */
import { Hono } from "hono";
import { enter, hostOf, NO_ROUTE, UnknownSystemError } from "../access.ts";
import { type Host, type JobRow, type Seat, ToolError } from "../host.ts";
import type { Site } from "../site.ts";
import { type Ctx, checkHeader, type Env, json, plainError, refusal } from "./answers.ts";
import { Form, hasForbiddenCharacter, isTrue, secureFileName, valueProblem } from "./input.ts";
import { occasionOf } from "./occasion.ts";
import { accountingRow, nodeInfo, partitionInfo, queueRow, reservationInfo } from "./rows.ts";
import { submitDirectory, submitJob, tailText } from "./submission.ts";
import type { TaskRunner } from "./task-runner.ts";

const JOB_ID = /^\d+(?:\+\d+|_\d+|_\[\d+-\d+\])?$/;
const DEFAULT_PAGE_SIZE = 25;

export function computeRoutes(site: Site, tasks: TaskRunner): Hono<Env> {
  /** The checks before every call. `description` is that of an unknown system. */
  const onSystem = async (
    c: Ctx,
    description: string,
    work: (seat: Seat, system: string, host: Host) => Promise<Response>,
    missing = () => refusal(c, "No machine name given"),
  ): Promise<Response> => {
    const system = c.req.header("x-machine-name");
    if (system === undefined || system === "") return missing();
    try {
      const seat = await enter(site, system, c.var.bearer.user, occasionOf(c));
      return await work(seat, system, hostOf(site, system));
    } catch (error) {
      if (error instanceof UnknownSystemError) {
        const headers = {
          "X-Machine-Does-Not-Exist": "Machine does not exist",
          "X-Machine-Does-Not-Exists": "Machine does not exists",
        };
        return json(c, 400, { description, error: "Machine does not exists" }, headers);
      }
      if (!(error instanceof ToolError)) throw error;
      const headers: Record<string, string> =
        error.exitCode === NO_ROUTE ? { "X-Machine-Not-Available": "Machine is not available" } : {};
      return json(c, 400, { description: "Failed to retrieve jobs information" }, headers);
    }
  };
  const start = (c: Ctx, status: 200 | 201, system: string, work: (taskId: string) => Promise<unknown>) =>
    tasks.start(c, { status, service: "compute", system }, work);

  const app = new Hono<Env>();
  app.get("/status", (c) => json(c, 200, { success: "ack" }));

  app.post("/jobs/upload", async (c) =>
    onSystem(c, "Failed to submit job file", async (seat, system, host) => {
      const form = await Form.within(c, site.limits.directMaxBytes);
      if (form === undefined) {
        const megabytes = site.limits.directMaxBytes / 1024 / 1024;
        return json(c, 413, { description: `Failed to upload batch script. The file is over ${megabytes} MB` });
      }
      const file = form.file("file");
      const failed = (error: string) => refusal(c, "Failed to submit job file", error);
      if (file === undefined) return failed(form.has("file") ? "No batch file selected" : "No batch file part");
      if (file.name === "") return failed("No batch file selected");
      if (file.size === 0) return failed("Batch file is empty");
      const account = accountOf(form);
      if (account.problem !== undefined) return refusal(c, "Invalid account", account.problem);
      const exported = exportOf(form);
      if (exported.problem !== undefined) {
        if (site.quirks === "1.16.6") tasks.orphan(c, "compute", system);
        return json(c, 404, {
          description: "Failed to submit job",
          error: `Invalid JSON in 'env' variable (${form.text("env")})`,
        });
      }
      const script = decodeScript(await file.arrayBuffer());
      if (script === undefined) return plainError(c, site.quirks, 500);
      const name = secureFileName(file.name);
      return await start(c, 201, system, (taskId) =>
        submitJob(seat, { directory: submitDirectory(host, seat, taskId), name, script, ...account, ...exported }),
      );
    }),
  );

  app.post("/jobs/path", async (c) =>
    onSystem(
      c,
      "Failed to submit job",
      async (seat, system) => {
        const form = await Form.of(c);
        const path = form.text("targetPath");
        const problem = valueProblem("targetPath", path);
        if (problem !== undefined) return refusal(c, "Failed to submit job", problem);
        const account = accountOf(form);
        if (account.problem !== undefined) return refusal(c, "Invalid account", account.problem);
        try {
          await seat.files.require("readable file", path ?? "");
        } catch (error) {
          if (!(error instanceof ToolError)) throw error;
          return json(c, 400, { description: "Failed to submit job" }, checkHeader(path ?? "", error));
        }
        const exported = exportOf(form);
        if (exported.problem !== undefined) {
          if (site.quirks === "1.16.6") tasks.orphan(c, "compute", system);
          return json(c, 404, { description: "Failed to submit job", error: "Invalid JSON environment provided" });
        }
        return await start(c, 201, system, () => submitJob(seat, { path: path ?? "", ...account, ...exported }));
      },
      () => refusal(c, "Failed to submit job", "No machine name given"),
    ),
  );

  app.get("/jobs", async (c) =>
    onSystem(c, "Failed to retrieve jobs information", async (seat, system) => {
      const failed = (error: string) => refusal(c, "Failed to retrieve job information", error);
      const list = c.req.query("jobs");
      if (list !== undefined) {
        const problem = valueProblem("jobs", list);
        if (problem !== undefined) return failed(problem);
        const ids = list.split(",");
        if (ids.includes("")) return failed("Jobs list wrong format");
        const wrong = ids.find((id) => !JOB_ID.test(id));
        if (wrong !== undefined) return failed(`${wrong} is not a valid job ID`);
      }
      const isOwn = isTrue(c.req.query("userJobs") ?? "true");
      return await start(c, 200, system, async () => {
        const rows = await seat.jobs.queue({
          allUsers: !isOwn,
          ...(list === undefined ? {} : { ids: list.split(",") }),
        });
        return await describeQueue(seat, pageOf(rows, c), isOwn);
      });
    }),
  );

  app.get("/jobs/:jobid", async (c) =>
    onSystem(c, "Failed to retrieve job information", async (seat, system) => {
      const id = c.req.param("jobid") ?? "";
      if (!JOB_ID.test(id)) return refusal(c, "Failed to retrieve job information", `${id} is not a valid job ID`);
      if (site.quirks === "1.16.6") return tasks.orphan(c, "compute", system);
      return await start(
        c,
        200,
        system,
        async () => await describeQueue(seat, await seat.jobs.queue({ ids: [id] }), true),
      );
    }),
  );

  app.delete("/jobs/:jobid", async (c) =>
    onSystem(c, "Failed to delete job", async (seat, system) => {
      const id = c.req.param("jobid") ?? "";
      if (hasForbiddenCharacter(id)) return refusal(c, "Failed to delete job", "'jobid' has invalid char");
      return await start(c, 200, system, async () => {
        try {
          return (await Promise.all(id.split(",").map((one) => seat.jobs.cancel(one)))).join("");
        } catch (error) {
          if (error instanceof ToolError && error.stderr.includes("Access/permission denied")) {
            throw new ToolError("scancel", 1, "User does not have permission to cancel job");
          }
          throw error;
        }
      });
    }),
  );

  app.get("/acct", async (c) =>
    onSystem(c, "Failed to retrieve account information", async (seat, system) => {
      const jobs = c.req.query("jobs");
      if (jobs !== undefined) {
        const problem = valueProblem("jobs", jobs);
        if (problem !== undefined) return refusal(c, "Failed to retrieve account information", problem);
      }
      const since = timeFilter(c.req.query("starttime"), site);
      const until = timeFilter(c.req.query("endtime"), site);
      return await start(c, 200, system, async () => {
        const midnight = Math.floor(site.clock.now() / 86_400_000) * 86_400_000;
        const query =
          jobs === undefined
            ? { since: since ?? midnight, ...(until === undefined ? {} : { until }) }
            : { ids: jobs.split(",") };
        const rows = pageOf(await seat.jobs.accounting(query), c).map(accountingRow);
        return rows.length === 0 ? {} : rows;
      });
    }),
  );

  /** Lists that take an optional comma list of names. */
  const catalogue = <T>(
    path: string,
    parameter: string,
    read: (host: Host) => Promise<T[]>,
    nameOf: (row: T) => string,
    shown: (row: T) => unknown,
    missing?: (name: string) => string,
  ) =>
    app.get(path, async (c) =>
      onSystem(c, "Failed to retrieve account information", async (_seat, system, host) => {
        const list = c.req.param("name") ?? c.req.query(parameter);
        const problem = list === undefined ? undefined : valueProblem(parameter, list);
        if (problem !== undefined) return refusal(c, `Failed to retrieve ${parameter} information`, problem);
        return await start(c, 200, system, async () => {
          const rows = await read(host);
          if (list === undefined) return rows.map(shown);
          const absent = list.split(",").find((name) => !rows.some((row) => nameOf(row) === name));
          if (absent !== undefined && missing !== undefined) throw new ToolError("scontrol", 1, missing(absent));
          return rows.filter((row) => list.split(",").includes(nameOf(row))).map(shown);
        });
      }),
    );
  const noNode = (name: string) => `Node ${name} not found`;
  for (const route of ["/nodes", "/nodes/:name"])
    catalogue(
      route,
      "nodes",
      (host) => host.nodes(),
      ({ name }) => name,
      nodeInfo,
      noNode,
    );
  catalogue(
    "/partitions",
    "partitions",
    (host) => host.partitions(),
    ({ name }) => name,
    partitionInfo,
  );
  catalogue(
    "/reservations",
    "reservations",
    (host) => host.reservations(),
    ({ name }) => name,
    reservationInfo,
  );
  return app;
}

function accountOf(form: Form): { account?: string; problem?: string } {
  if (!form.has("account")) return {};
  const account = form.text("account") ?? "";
  const problem = valueProblem("account", account);
  return problem === undefined ? { account } : { problem };
}

/** `env` as the text of `--export`: everything, and these. Values are not escaped. */
function exportOf(form: Form): { export?: string; problem?: string } {
  const text = form.text("env");
  if (text === undefined || text === "") return {};
  try {
    const env: unknown = JSON.parse(text);
    if (typeof env !== "object" || env === null || Array.isArray(env)) return { problem: "no object" };
    return { export: ["ALL", ...Object.entries(env).map(([name, value]) => `${name}=${String(value)}`)].join(",") };
  } catch {
    return { problem: "no JSON" };
  }
}

function decodeScript(bytes: ArrayBuffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** An object keyed by position, with the output of each running job. */
async function describeQueue(
  seat: Seat,
  rows: JobRow[],
  isOwn: boolean,
): Promise<Record<string, Record<string, string>>> {
  const described: Record<string, Record<string, string>> = {};
  for (const [position, row] of rows.entries()) {
    described[String(position)] = { ...queueRow(row), ...(await jobFiles(seat, row, isOwn)) };
  }
  return described;
}

async function jobFiles(seat: Seat, row: JobRow, isOwn: boolean): Promise<Record<string, string>> {
  if (!isOwn) {
    const extra = "Job files information is not available when `userJobs` is False";
    return {
      job_file: "",
      job_file_out: "",
      job_file_err: "",
      job_data_out: "",
      job_data_err: "",
      job_info_extra: extra,
    };
  }
  if (row.jobId.includes("[")) {
    const extra = "scontrol_print_job error: Invalid job id specified";
    return { job_file_out: "Not available", job_file_err: "Not available", job_info_extra: extra };
  }
  const isWaiting = row.state === "PENDING";
  return {
    job_file: row.command,
    job_file_out: row.standardOutput,
    job_file_err: row.standardError,
    job_data_out: isWaiting ? "" : await tailText(seat, row.standardOutput),
    job_data_err: isWaiting ? "" : await tailText(seat, row.standardError),
    job_info_extra: "Job info returned successfully",
  };
}

/** Pages count from 0; one number is enough. Beyond the end is a failed task. */
function pageOf<T>(rows: T[], c: Ctx): T[] {
  const [sizeText, numberText] = [c.req.query("pageSize"), c.req.query("pageNumber")];
  if (sizeText === undefined && numberText === undefined) return rows;
  const size = Number.parseInt(sizeText ?? String(DEFAULT_PAGE_SIZE), 10);
  const number = Number.parseInt(numberText ?? "0", 10);
  if (Number.isNaN(size) || Number.isNaN(number) || size < 1) return rows;
  if (number < 0) throw new ToolError("paging", 1, `pageNumber (${number}) cannot be a negative number`);
  const pages = Math.ceil(rows.length / size);
  if (number > 0 && number >= pages)
    throw new ToolError("paging", 1, `pageNumber (${number}) is greater than total pages (${pages})`);
  return rows.slice(number * size, (number + 1) * size);
}

/** The real server takes plain dates only and drops everything else without a word. Milliseconds, in UTC. */
function timeFilter(text: string | undefined, site: Site): number | undefined {
  if (text === undefined) return undefined;
  const isDate = /^\d{4}-\d\d-\d\d$/.test(text);
  if (!isDate && (site.quirks === "1.16.6" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?$/.test(text))) return undefined;
  const at = Date.parse(isDate ? `${text}T00:00:00Z` : `${text}Z`);
  return Number.isNaN(at) ? undefined : at;
}
