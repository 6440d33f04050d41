/** Systems, and files on them: carried out by the poller Worker at the site, one short command each. */

import {
  type MachinePart,
  NodeView,
  PartitionView,
  ReservationView,
  ServiceView,
  SystemView,
} from "../../../shared/contract/connection.ts";
import {
  DIRECT_MAX_BYTES,
  FILE_READS,
  FILE_WRITES,
  FileEntryView,
  type FileRead,
  FileStatView,
  type FileWrite,
} from "../../../shared/contract/file.ts";
import { Job } from "../../../shared/contract/job.ts";
import { pageOf, SystemName, z } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { given, json, replayedHeader } from "../answers.ts";
import { readBytes } from "../body.ts";
import { type AnswerShape, type Call, type Routes, requireScope } from "../endpoint.ts";
import { attachment } from "../object-headers.ts";
import { idempotencyOf } from "../read.ts";

const tag = "Systems and files";
const systems = "/v1/connections/{c}/systems";
const files = `${systems}/{s}/files` as const;
const SystemWithParameters = SystemView.extend({ parameters: z.record(z.string(), z.unknown()) }).openapi(
  "SystemWithParameters",
);
const MACHINE: Record<MachinePart, { summary: string; schema: z.ZodType }> = {
  nodes: { summary: "The nodes of a machine and their states", schema: NodeView },
  partitions: { summary: "The partitions of a machine", schema: PartitionView },
  reservations: { summary: "The reservations on a machine", schema: ReservationView },
};
const done: AnswerShape = { description: "Done.", schema: z.object({ done: z.literal(true) }) };
const asJob: AnswerShape = {
  description:
    "On its way as a job of the site: it has succeeded when its logs and the files say so, and its events tell it like those of any job.",
  schema: Job,
  headers: { Location: "Where the job is read." },
};
const content: AnswerShape = { description: "The text.", schema: z.object({ content: z.string() }) };

const READS: Record<FileRead, { summary: string; answer: AnswerShape }> = {
  ls: {
    summary: "List a directory",
    answer: { description: "Its entries.", schema: z.object({ items: z.array(FileEntryView) }) },
  },
  stat: {
    summary: "Size, mode, owner and time of a file",
    answer: { description: "What stat says.", schema: FileStatView },
  },
  head: { summary: "The first lines or bytes of a file", answer: content },
  tail: { summary: "The last lines or bytes of a file", answer: content },
  view: { summary: "The whole text of a small file", answer: content },
  checksum: {
    summary: "SHA-256 of a file",
    answer: {
      description: "Lower-case hex.",
      schema: z.object({ algorithm: z.literal("sha256"), checksum: z.string() }),
    },
  },
  file: {
    summary: "What kind of file it is",
    answer: { description: "As `file` says.", schema: z.object({ type: z.string() }) },
  },
  download: {
    summary: "A small file as it is",
    answer: {
      description: "Its bytes. For large files start a transfer.",
      schema: z.string().openapi({ format: "binary" }),
      contentType: "application/octet-stream",
    },
  },
};

const WRITES: Record<FileWrite, string> = {
  mkdir: "Make a directory",
  move: "Move or rename",
  copy: "Copy",
  rsync: "Synchronise a tree with another (v1 only)",
  symlink: "Make a symbolic link",
  chmod: "Change the mode",
  chown: "Change owner or group",
  compress: "Pack a directory into an archive",
  extract: "Unpack an archive",
  rm: "Remove a file or a directory with everything in it",
};

/** Jobs of the site: always, where it has nothing else or the caller asks, or when its time for one command is not enough. */
const MAY_BE_JOBS: ReadonlySet<FileWrite> = new Set(["move", "copy", "compress", "extract", "rm"]);

function answersOf(operation: FileWrite): Record<number, AnswerShape> {
  if (operation === "rsync") return { 202: asJob };
  return MAY_BE_JOBS.has(operation) ? { 200: done, 202: asJob } : { 200: done };
}

type FileCall = Call<unknown, unknown, { s: string }>;

export function fileRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "listSystems",
      method: "get",
      path: systems,
      tag,
      summary: "The machines behind this connection",
      scope: "jobs:read",
      answers: { 200: { description: "All systems.", schema: pageOf(SystemView) } },
    },
    async ({ deps, connection, caller }) => json(200, given(await deps.poller.systems(connection, caller))),
  );

  guarded(
    {
      id: "getSystem",
      method: "get",
      path: `${systems}/{s}`,
      tag,
      summary: "One machine: health and limits",
      scope: "jobs:read",
      answers: { 200: { description: "The system.", schema: SystemWithParameters } },
    },
    async (call) => json(200, given(await call.deps.poller.system(call.connection, call.caller, systemOf(call)))),
  );

  guarded(
    {
      id: "listServices",
      method: "get",
      path: "/v1/connections/{c}/services",
      tag,
      summary: "What the site consists of, and what of it is well",
      description:
        "As the site's own checks found it: FirecREST's services on v1; scheduler, login node, file systems and object store of each system on v2.",
      scope: "jobs:read",
      answers: { 200: { description: "All of them.", schema: pageOf(ServiceView) } },
    },
    async ({ deps, connection, caller }) => json(200, given(await deps.poller.services(connection, caller))),
  );

  for (const [part, { summary, schema }] of Object.entries(MACHINE) as [MachinePart, (typeof MACHINE)[MachinePart]][]) {
    guarded(
      {
        id: `list_${part}`,
        method: "get",
        path: `${systems}/{s}/${part}`,
        tag,
        summary,
        scope: "jobs:read",
        answers: { 200: { description: "All of them, in the scheduler's words.", schema: pageOf(schema) } },
      },
      async (call) =>
        json(200, given(await call.deps.poller.machine(call.connection, call.caller, systemOf(call), part))),
    );
  }

  for (const [operation, { summary, answer }] of Object.entries(READS) as [FileRead, (typeof READS)[FileRead]][]) {
    guarded(
      {
        id: `file_${operation}`,
        method: "get",
        path: `${files}/${operation}`,
        tag,
        summary,
        scope: "files:read",
        query: FILE_READS[operation],
        answers: { 200: answer },
      },
      async (call) => carryOut(call, operation, call.query, (field) => field.slice(1)),
    );
  }

  for (const [operation, summary] of Object.entries(WRITES) as [FileWrite, string][]) {
    guarded(
      {
        id: `file_${operation}`,
        method: "post",
        path: `${files}/${operation}`,
        tag,
        summary,
        scope: "files:write",
        body: FILE_WRITES[operation],
        repeatable: true,
        answers: answersOf(operation),
      },
      async (call) => carryOut(call, operation, call.body),
    );
  }

  guarded(
    {
      id: "file_upload",
      method: "post",
      path: `${files}/upload`,
      tag,
      summary: "Write a small file",
      description: `At most ${DIRECT_MAX_BYTES} bytes, and no more than the site takes. For larger files put an object and start a transfer.`,
      scope: "files:write",
      query: FILE_READS.download,
      rawBody: "application/octet-stream",
      repeatable: true,
      answers: { 200: done },
    },
    async (call) => {
      // Before megabytes are read for somebody who may not write.
      await requireScope(call, "files:write", { system: systemOf(call) });
      const content = await readBytes(call.request, DIRECT_MAX_BYTES);
      const idempotency = await idempotencyOf(call.request, call.url.pathname + call.url.search, content);
      const withKey = { ...call, ...(idempotency === undefined ? {} : { idempotency }) };
      return carryOut(withKey, "upload", { ...placeOf(call.query.path), content }, () => "path");
    },
  );
}

/** Directory and name, as a site takes an upload. Throws Problem for a path that ends in a slash. */
function placeOf(path: string): { directory: string; name: string } {
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  if (name === "")
    throw new Problem("invalid", {
      detail: "?path must end in the file's name",
      errors: [{ field: "path", message: "must end in the file's name" }],
    });
  return { directory: path.slice(0, slash) || "/", name };
}

/** Throws Problem for what no system is called. */
function systemOf({ params }: Pick<FileCall, "params">): string {
  const read = SystemName.safeParse(params.s);
  if (!read.success) throw new Problem("not_found");
  return read.data;
}

/** `named` gives errors the name that the caller has for a field: the operation knows it by a pointer into its input. */
async function carryOut(
  call: FileCall,
  operation: string,
  input: Record<string, unknown>,
  named: (field: string) => string = (field) => field,
): Promise<Response> {
  const { connection, caller, origin, idempotency } = call;
  const answer = await call.deps.poller.file(connection, caller, systemOf(call), operation, input, origin, idempotency);
  if (!answer.ok && answer.errors !== undefined)
    given({ ...answer, errors: answer.errors.map((error) => ({ ...error, field: named(error.field) })) });
  const result = given(answer);
  if ("job" in result)
    return json(202, result.job, {
      location: `/v1/connections/${connection}/jobs/${result.job.id}`,
      ...replayedHeader(result.replayed),
    });
  if ("bytes" in result) {
    // A copy, because what came over RPC may be a view into something larger.
    return new Response(new Uint8Array(result.bytes), {
      headers: { "content-type": "application/octet-stream", ...attachment(String(input.path)) },
    });
  }
  return json(200, result.body, replayedHeader(result.replayed));
}
