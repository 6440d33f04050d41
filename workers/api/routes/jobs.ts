/** Jobs: submit, follow, cancel, submit again; and jobs that somebody else submitted. */
import { Event, JobEventsQuery } from "../../../shared/contract/event.ts";
import {
  AttachAnswer,
  AttachRequest,
  Job,
  JobGetQuery,
  JobRequest,
  JobsQuery,
  LogsQuery,
  ResubmitRequest,
  WatchRequest,
} from "../../../shared/contract/job.ts";
import { pageOf, z } from "../../../shared/contract/words.ts";
import { given, json, replayedHeader, text } from "../answers.ts";
import type { Call, Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";

const tag = "Jobs";
const jobs = "/v1/connections/{c}/jobs";
const job = `${jobs}/{id}` as const;
const LOCATION = { Location: "Where the job is read." };
const accepted = {
  description: "Accepted: written down, and on its way.",
  schema: Job,
  example: EXAMPLE.job,
  headers: LOCATION,
};

const DEFAULT_TAIL_LINES = 100;

export function jobRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "submitJob",
      method: "post",
      path: jobs,
      tag,
      summary: "Submit a job",
      description:
        "Answers as soon as the job is written down; it is sent to the scheduler right after. Inputs are staged in before it starts, outputs are fetched to object storage after it ends, callbacks hear of every change.",
      scope: "jobs:write",
      body: JobRequest,
      bodyExample: EXAMPLE.jobRequest,
      repeatable: true,
      answers: { 202: accepted },
    },
    async ({ tracker, caller, body, ...call }) =>
      acceptedJob(call, given(await tracker.acceptJob(caller, body, optionsOf(call)))),
  );

  guarded(
    {
      id: "listJobs",
      method: "get",
      path: jobs,
      tag,
      summary: "Jobs, newest first",
      scope: "jobs:read",
      query: JobsQuery,
      answers: { 200: { description: "A page of jobs.", schema: pageOf(Job) } },
    },
    async ({ tracker, caller, query }) => json(200, given(await tracker.jobs(caller, query))),
  );

  guarded(
    {
      id: "getJob",
      method: "get",
      path: job,
      tag,
      summary: "One job, now or when it has ended",
      description:
        "`?wait=n` answers as soon as the job has ended or is lost, at the latest after n seconds; with `&until=settled` as soon as its outputs are there too.",
      scope: "jobs:read",
      query: JobGetQuery,
      answers: { 200: { description: "The job as it is.", schema: Job, example: EXAMPLE.job } },
    },
    async ({ tracker, caller, params, query }) => {
      const wait = query.wait ? { seconds: query.wait, until: query.until ?? ("ended" as const) } : undefined;
      return json(200, given(await (wait ? tracker.job(caller, params.id, wait) : tracker.job(caller, params.id))));
    },
  );

  guarded(
    {
      id: "cancelJob",
      method: "post",
      path: `${job}/cancel`,
      tag,
      summary: "Cancel a job",
      description: "Asks the scheduler; the job is `cancelled` once that is confirmed. Repeating it is harmless.",
      scope: "jobs:write",
      answers: { 202: accepted },
    },
    async ({ tracker, caller, params, origin, ...call }) =>
      acceptedJob(call, { job: given(await tracker.cancelJob(caller, params.id, origin)), replayed: false }),
  );

  guarded(
    {
      id: "attachToJob",
      method: "post",
      path: `${job}/attach`,
      tag,
      summary: "Run a command beside a running job",
      description:
        "For a look into a job, or a signal to its program: within the few seconds that a site gives one command, and without its output (let it write a file). It is sent once. Only FirecREST v2 can do it: on v1 the answer is 422, and says what to do instead.",
      scope: "jobs:write",
      body: AttachRequest,
      bodyExample: { command: 'pkill -USR1 -u "$USER" model' },
      repeatable: true,
      answers: { 200: { description: "How the command ended.", schema: AttachAnswer, example: { exitCode: 0 } } },
    },
    async ({ deps, connection, caller, params, body, ...call }) => {
      const answer = given(await deps.poller.attach(connection, caller, params.id, body.command, optionsOf(call)));
      return json(200, { exitCode: answer.exitCode }, replayedHeader(answer.replayed));
    },
  );

  guarded(
    {
      id: "resubmitJob",
      method: "post",
      path: `${job}/resubmit`,
      tag,
      summary: "Submit a job again, with other resources",
      scope: "jobs:write",
      body: ResubmitRequest,
      bodyExample: EXAMPLE.resubmitRequest,
      bodyOptional: true,
      repeatable: true,
      answers: { 202: accepted },
    },
    async ({ tracker, caller, params, body, ...call }) =>
      acceptedJob(call, given(await tracker.resubmit(caller, params.id, body, optionsOf(call)))),
  );

  guarded(
    {
      id: "getJobLogs",
      method: "get",
      path: `${job}/logs`,
      tag,
      summary: "The last lines of a job's output",
      scope: "jobs:read",
      query: LogsQuery,
      answers: { 200: { description: "Plain text.", schema: z.string(), contentType: "text/plain" } },
    },
    async ({ deps, connection, caller, params, query }) =>
      text(
        given(
          await deps.poller.logs(
            connection,
            caller,
            params.id,
            query.stream ?? "stdout",
            query.tail ?? DEFAULT_TAIL_LINES,
            query.masked === "true",
          ),
        ),
      ),
  );

  guarded(
    {
      id: "getJobEvents",
      method: "get",
      path: `${job}/events`,
      tag,
      summary: "Events of one job",
      scope: "jobs:read",
      query: JobEventsQuery,
      answers: { 200: { description: "A page, oldest first.", schema: pageOf(Event) } },
    },
    async ({ tracker, caller, params, query }) => {
      const id = params.id;
      const page = given(await tracker.events(caller, { ...query, job: id }));
      // Every job has events: none at all after 0 may be a job that does not exist, and that is a 404.
      if (page.items.length === 0) given(await tracker.job(caller, id));
      return json(200, page);
    },
  );

  guarded(
    {
      id: "watchJob",
      method: "post",
      path: "/v1/connections/{c}/watches",
      tag,
      summary: "Follow a job that somebody else submitted",
      scope: "jobs:write",
      body: WatchRequest,
      bodyExample: EXAMPLE.watchRequest,
      repeatable: true,
      answers: { 202: accepted },
    },
    async ({ tracker, caller, body, ...call }) =>
      acceptedJob(call, given(await tracker.watch(caller, body, optionsOf(call)))),
  );
}

type Accepting = Pick<Call, "idempotency" | "origin">;

const optionsOf = ({ origin, idempotency }: Accepting) =>
  idempotency === undefined ? { origin } : { origin, idempotency };

function acceptedJob(
  { connection }: Pick<Call, "connection">,
  { job: made, replayed }: { job: Job; replayed: boolean },
): Response {
  return json(202, made, {
    location: `/v1/connections/${connection}/jobs/${made.id}`,
    ...replayedHeader(replayed),
  });
}
