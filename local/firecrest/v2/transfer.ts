/** T1–T7: transfers and file operations as jobs of the user's. */
import type { Seat } from "../host.ts";
import { ToolError } from "../host.ts";
import type { Egress, Ingress, Surroundings } from "./byte-mover.ts";
import { type Call, type Handler, ok, queryOf, requireHealthy } from "./context.ts";
import { ApiError, fileError, invalid, running, slurmError, unhandled } from "./errors.ts";
import { Input, mainPath, readJson, requirePlace } from "./input.ts";
import { type Composed, type FileOperation, fileOperation, transferJob } from "./job-scripts.ts";
import { idOnWire } from "./jobs.ts";
import { COMPRESSIONS, rootsOf } from "./ops.ts";
import { directiveStyle } from "./options.ts";
import { directivesOf } from "./status.ts";

const MIB = 1_048_576;
/** Job scripts paste the path of a download unquoted: anything else is cut off, or runs. */
const BARE = /^[A-Za-z0-9_@%+=:,./^-]+$/;

/** Files of a job's user, requests to the staging area, no shell. */
const withoutShell =
  ({ site }: Call) =>
  ({ files }: Seat): Surroundings => ({
    async sizeOf(path) {
      const stat = await files.stat(path, { dereference: true }).catch(() => undefined);
      return stat !== undefined && (stat.mode & 0o170000) === 0o100000 ? stat.size : undefined;
    },
    read: async (path, start, end) => (await files.read(path, { start, end })).body,
    write: (path, body) => files.write(path, body),
    send: (request) => site.staging.fetch(request),
    sleep: site.clock.sleep,
    print: () => undefined,
    warn: () => undefined,
  });

interface Started {
  jobId: string;
  /** On the wire. */
  transferJob: unknown;
}

async function start(call: Call, composed: Composed, account: string | undefined, hold = false): Promise<Started> {
  const root = call.host.fileSystems.find(({ defaultWorkDir }) => defaultWorkDir)?.path;
  if (root === undefined) throw new ApiError(500, `The system ${call.system} has no default working directory.`);
  const workingDirectory = `${root}/${call.user}`;
  const id = crypto.randomUUID();
  const logs = {
    outputLog: `${workingDirectory}/.f7t_file_handling_job_${id}.log`,
    errorLog: `${workingDirectory}/.f7t_file_handling_job_error_${id}.log`,
  };
  const { jobId } = await running(slurmError, () =>
    call.seat.jobs.submit({
      ...composed,
      workingDirectory,
      output: logs.outputLog,
      error: logs.errorLog,
      hold,
      ...(account === undefined ? {} : { account }),
    }),
  );
  return { jobId, transferJob: { jobId: idOnWire(call, jobId), system: call.system, workingDirectory, logs } };
}

function directivesFor(call: Call, account: string | undefined): string[] {
  if (call.options.accountRequired && account === undefined)
    throw new ApiError(400, "Account parameter is required on this system.");
  return directivesOf(call.options).map((line) => line.replace("{account}", account ?? ""));
}

interface TransferRequest {
  path: string;
  account: string | undefined;
  fileSize: number | undefined;
}

/** Neither existence nor place of the path is checked here. */
async function transferRequest(call: Call): Promise<TransferRequest> {
  requireHealthy(call, ["scheduler", "ssh"]);
  const body = await readJson(call);
  const input = new Input("body", body);
  const path = mainPath(body) ?? "";
  if (path === "") input.fail("sourcePath", "Field required");
  const account = input.optionalText("account");
  if (directiveStyle(call.options) === "flat") {
    const fileSize = input.optionalWhole("fileSize");
    const name = input.optionalText("fileName");
    input.done();
    return { path: name === undefined ? path : `${path}/${name}`, account, fileSize };
  }
  const directives = input.raw("transferDirectives");
  if (typeof directives !== "object" || directives === null) input.fail("transferDirectives", "Field required");
  input.done();
  const inner = new Input("body", directives as Record<string, unknown>, () => "transferDirectives");
  const method = inner.oneOf("transferMethod", ["s3", "streamer", "wormhole"], "s3");
  const fileSize = inner.optionalWhole("fileSize");
  inner.done();
  if (method !== "s3") throw new ApiError(400, "Requested transfer method is not available.");
  return { path, account, fileSize };
}

/** Links in the form of the server's release. */
function started(call: Call, { transferJob: job }: Started, links: Record<string, unknown>) {
  const given = { transferMethod: "s3", ...links };
  const style = directiveStyle(call.options);
  if (style === "camel") return ok({ transferJob: job, transferDirectives: given }, 201);
  if (style === "snake") {
    const snake = Object.entries(given).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]);
    return ok({ transferJob: job, transferDirectives: Object.fromEntries(snake) }, 201);
  }
  // Old clients look for the first name, new ones for the second where there are no directives.
  const { completeUploadUrl } = links;
  const second = completeUploadUrl === undefined ? {} : { completeMultipartUploadUrl: completeUploadUrl };
  return ok({ transferJob: job, ...links, ...second }, 201);
}

export const download: Handler = async (call) => {
  const { path, account } = await transferRequest(call);
  const directives = directivesFor(call, account);
  const { size } = await running(fileError, () => call.seat.files.stat(path, { dereference: true }));
  const { staging, limits } = call.site;
  const [bucket, key, ttl] = [call.user, `${crypto.randomUUID()}/${nameOf(path)}`, limits.stagingTtlSeconds];
  const parts = Math.ceil(size / call.options.maxPartBytes);
  const { partUrls, completeUrl } = await staging.presignMultipart(bucket, key, parts, ttl);
  const partBytes = Math.ceil(size / Math.max(1, parts) / MIB) * MIB;
  const work: Egress = { kind: "egress", path: BARE.test(path) ? path : "", partUrls, partBytes, completeUrl };
  const job = await start(call, transferJob(work, directives, call.options.mover, withoutShell(call)), account);
  return started(call, job, { downloadUrl: await staging.presignGet(bucket, key, ttl) });
};

export const upload: Handler = async (call) => {
  const { path, account, fileSize } = await transferRequest(call);
  const directives = directivesFor(call, account);
  if (fileSize === undefined) throw unhandled(`"unsupported operand type(s) for /: 'NoneType' and 'int'"`);
  const { staging, limits, clock } = call.site;
  const { maxPartBytes, ingressPollMs, jobMinutes, mover, phraseWithoutFile } = call.options;
  const [bucket, key, ttl] = [call.user, `${crypto.randomUUID()}/${nameOf(path)}`, limits.stagingTtlSeconds];
  const parts = Math.max(0, Math.ceil(fileSize / maxPartBytes));
  const { partUrls, completeUrl } = await staging.presignMultipart(bucket, key, parts, ttl);
  const deadline = clock.now() + jobMinutes * 60_000;
  const hasShell = mover.length > 0;
  const work: Ingress = {
    kind: "ingress",
    path,
    url: await staging.presignGet(bucket, key, ttl),
    pollMs: ingressPollMs,
    looks: hasShell ? Math.ceil((jobMinutes * 60_000) / ingressPollMs) : 1,
    phraseWithoutFile,
  };
  const job = await start(call, transferJob(work, directives, mover, withoutShell(call)), account, !hasShell);
  if (!hasShell)
    call.site.background(
      releaseWhen(call, job.jobId, () => staging.stat(bucket, key) !== undefined || clock.now() > deadline),
    );
  return started(call, job, { partsUploadUrls: partUrls, completeUploadUrl: completeUrl, maxPartSize: maxPartBytes });
};

/** A job that cannot wait by itself waits in the queue. */
async function releaseWhen({ site, options, seat }: Call, jobId: string, isDue: () => boolean): Promise<void> {
  while (!isDue()) await site.clock.sleep(options.ingressPollMs);
  await seat.jobs.release(jobId).catch((error: unknown) => {
    if (!(error instanceof ToolError)) throw error;
  });
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

async function startOperation(call: Call, operation: FileOperation, account: string | undefined, status: number) {
  const directives = directivesFor(call, account);
  const { transferJob: job } = await start(call, fileOperation(operation, directives, call.host.now), account);
  return ok({ transferJob: job }, status);
}

/** The main path is checked, the target never. */
const operating =
  (compose: (path: string, targetPath: string, input: Input) => FileOperation): Handler =>
  async (call) => {
    requireHealthy(call, ["scheduler", "ssh"]);
    const body = await readJson(call);
    const path = requirePlace(mainPath(body), call.system, rootsOf(call));
    requireHealthy(call, [], path);
    const input = new Input("body", body);
    const account = input.optionalText("account");
    const operation = compose(path, input.text("targetPath"), input);
    input.done();
    return await startOperation(call, operation, account, 201);
  };

export const mv = operating((path, targetPath) => ({ op: "mv", path, targetPath, dereference: false }));
export const cp = operating((path, targetPath, input) => ({
  op: "cp",
  path,
  targetPath,
  dereference: input.flag("dereference"),
}));
export const extract = operating((path, targetPath, input) => ({
  op: "extract",
  path,
  targetPath,
  compression: input.oneOf("compression", COMPRESSIONS, "gzip"),
}));
export const compress = operating((path, targetPath, input) => ({
  op: "compress",
  path,
  targetPath,
  dereference: input.flag("dereference"),
  matchPattern: input.optionalText("matchPattern"),
  compression: input.oneOf("compression", COMPRESSIONS, "gzip"),
}));

export const rm: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  const query = queryOf(call);
  if (query.path === undefined) throw invalid([{ location: "query", name: "path", message: "Field required" }]);
  const path = requirePlace(query.path, call.system, rootsOf(call));
  requireHealthy(call, [], path);
  return await startOperation(call, { op: "rm", path }, query.account || undefined, 200);
};
