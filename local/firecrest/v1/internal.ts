/** `/storage/xfer-internal`: file operations as jobs. The task says only that the job was submitted. */
import { Hono } from "hono";
import { enter, hostOf, NO_ROUTE, UnknownSystemError } from "../access.ts";
import { type Seat, ToolError } from "../host.ts";
import type { Site } from "../site.ts";
import { type Env, json, plainError, refusal } from "./answers.ts";
import { archiveFormat } from "./archive-format.ts";
import { Form, isTrue, valueProblem } from "./input.ts";
import { occasionOf } from "./occasion.ts";
import { submitDirectory, submitJob } from "./submission.ts";
import type { TaskRunner } from "./task-runner.ts";

type Operation = "cp" | "mv" | "rsync" | "rm" | "compress" | "extract";
const OPERATIONS: readonly string[] = ["cp", "mv", "rsync", "rm", "compress", "extract"] satisfies Operation[];
const TIME = /^(?:[1-9]\d*|\d+:[0-5]?\d|\d+:[0-5]?\d:[0-5]?\d|\d+-\d+(?::[0-5]?\d){0,2})$/;
const SCRIPT_NAME = "sbatch-job.sh";

export function internalRoutes(site: Site, runner: TaskRunner): Hono<Env> {
  const app = new Hono<Env>();
  app.post("/:operation", async (c) => {
    const operation = c.req.param("operation") as Operation;
    if (!OPERATIONS.includes(operation)) return plainError(c, site.quirks, 404);
    const system = c.req.header("x-machine-name");
    if (system === undefined || system === "") return refusal(c, "No machine name given");
    let seat: Seat;
    let directory: (taskId: string) => string;
    try {
      seat = await enter(site, system, c.var.bearer.user, occasionOf(c));
      directory = (taskId) => submitDirectory(hostOf(site, system), seat, taskId);
    } catch (error) {
      if (error instanceof UnknownSystemError) {
        const headers = {
          "X-Machine-Does-Not-Exist": "Machine does not exist",
          "X-Machine-Does-Not-Exists": "Machine does not exists",
        };
        return json(c, 400, { description: "Failed operation", error: "Machine does not exists" }, headers);
      }
      if (!(error instanceof ToolError)) throw error;
      const headers: Record<string, string> =
        error.exitCode === NO_ROUTE
          ? { "X-Machine-Not-Available": "Machine is not available" }
          : { "X-Error": error.stderr };
      return json(c, 400, { description: `Failed to submit ${operation} job`, error: `${operation} job` }, headers);
    }

    const form = await Form.of(c);
    const paths = operation === "rm" ? ["targetPath"] : ["targetPath", "sourcePath"];
    for (const name of paths) {
      const problem = valueProblem(name, form.text(name));
      if (problem !== undefined) return refusal(c, `Error on ${operation} operation`, problem);
    }
    const [source, target] = [form.text("sourcePath") ?? "", form.text("targetPath") ?? ""];
    const format = operation === "extract" ? archiveFormat(source, form, site.quirks) : "gzip";
    if (format === undefined) return refusal(c, "Error on extract operation", `Unsupported file format in ${source}.`);
    const time = form.text("time") ?? "02:00:00";
    if (!TIME.test(time)) return json(c, 400, { error: "Not supported time format" });
    for (const name of ["jobName", "stageOutJobId", "account"]) {
      const problem = form.has(name) ? valueProblem(name, form.text(name)) : undefined;
      if (problem !== undefined) return refusal(c, `Invalid ${name}`, problem);
    }

    const account = form.text("account");
    const after = form.text("stageOutJobId");
    const transfer: Transfer = { operation, source, target, format, dereference: isTrue(form.text("dereference")) };
    const script = transferScript(transfer, {
      name: form.text("jobName") ?? `${operation}-job`,
      time,
      ...(after === undefined ? {} : { after }),
    });
    return runner.start(c, { status: 201, service: "compute", system, link: false }, (taskId) =>
      submitJob(seat, {
        directory: directory(taskId),
        name: SCRIPT_NAME,
        script,
        withoutShell: (worker) => perform(worker, transfer),
        ...(account === undefined ? {} : { account }),
      }),
    );
  });
  return app;
}

interface Transfer {
  operation: Operation;
  source: string;
  target: string;
  format: "none" | "gzip" | "bzip2" | "xz" | "zip";
  dereference: boolean;
}

/**
 * The job's script. Its last command is an `echo`, so it ends well whatever became of the transfer: errors are only in
 * `job-<id>.err`, as on the real server.
 */
function transferScript(transfer: Transfer, job: { name: string; time: string; after?: string }): string {
  return [
    "#!/bin/bash -l",
    `#SBATCH --job-name='${job.name}'`,
    `#SBATCH --time=${job.time}`,
    "#SBATCH --error=job-%j.err",
    "#SBATCH --output=job-%j.out",
    "#SBATCH --ntasks=1",
    "#SBATCH --partition=xfer",
    ...(job.after === undefined ? [] : [`#SBATCH --dependency=afterok:${job.after}`]),
    "",
    'echo "Transfer starts on $(hostname)"',
    commandOf(transfer),
    'echo "Transfer ends"',
    "",
  ].join("\n");
}

/** Paths hold no quote: the route has refused them. */
function commandOf({ operation, source, target, format, dereference }: Transfer): string {
  const [from, to] = [`'${source}'`, `'${target}'`];
  const cut = source.replace(/\/+$/, "").lastIndexOf("/");
  const [parent, name] = [`'${source.slice(0, cut) || "/"}'`, `'${source.replace(/\/+$/, "").slice(cut + 1)}'`];
  const unpack = { none: "-xf", gzip: "-xzf", bzip2: "-xjf", xz: "-xJf" };
  switch (operation) {
    case "cp":
      return `cp --force -dR --preserve=all -- ${from} ${to}`;
    case "mv":
      return `mv --force -- ${from} ${to}`;
    case "rsync":
      return `rsync -av -- ${from} ${to}`;
    case "rm":
      return `rm -rf -- ${to}`;
    case "compress":
      return `tar ${dereference ? "--dereference " : ""}-czf ${to} -C ${parent} -- ${name}`;
    case "extract":
      return format === "zip" ? `unzip -o ${from} -d ${to}` : `tar ${unpack[format]} ${from} -C ${to}`;
  }
}

/** The same for a machine without a shell. */
async function perform({ files }: Seat, { operation, source, target, format, dereference }: Transfer) {
  const output = "Transfer starts\nTransfer ends\n";
  try {
    if (operation === "mv") await files.move(source, target);
    else if (operation === "rm") await files.remove(target, { missing: "ignore" });
    else if (operation === "compress") await files.compress(source, target, { dereference });
    else if (operation === "extract") await files.extract(source, target, { format });
    else await files.copy(source.replace(/(?<=.)\/+$/, ""), target);
    return { exitCode: 0, stdout: output };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return { exitCode: 0, stdout: output, stderr: `${error.stderr}\n` };
  }
}
