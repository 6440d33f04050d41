/** FirecREST v2 behind the port: no tasks, no release; everything long is a scheduler job of the user. */
import { FirecrestError } from "../errors.ts";
import type { ClientDeps, Firecrest, Submission } from "../port.ts";
import { probeLink } from "../staged-link.ts";
import { createCalls } from "./call.ts";
import { createFiles } from "./files.ts";
import { attachToJob, cancelJob, readOutputPaths, submitJob } from "./jobs.ts";
import { OPERATIONS } from "./operations.ts";
import { createOutcomes } from "./outcomes.ts";
import { findByName, readRound } from "./round.ts";
import { createSystems } from "./systems.ts";
import { createTransfers } from "./transfers.ts";

async function noReserving(): Promise<never> {
  throw new FirecrestError("FirecREST v2 shows reservations and cannot change them. Ask the site's support for one", {
    code: "not_supported",
    retry: "never",
  });
}

export function createV2Client(deps: ClientDeps): Firecrest {
  const calls = createCalls(deps);
  const systems = createSystems(calls, deps.now);
  const files = createFiles(calls, (system, op, from, to, account) =>
    transfers.fileJob(system, { op, from, to }, account),
  );
  const transfers = createTransfers(calls, files, deps.now);
  const outcomes = createOutcomes(deps, calls, files);

  /** v2 has no directory of its own for a job: below the user's place for jobs and transfers, by the job's name. */
  async function defaultDirectory({ system, name }: Submission): Promise<string> {
    if (name === undefined) {
      throw new FirecrestError("FirecREST v2 needs a working directory, or a name to make one from", {
        code: "invalid_request",
        retry: "never",
      });
    }
    return `${await systems.homeOf(system)}/firewatch/${name}`;
  }

  return {
    api: "v2",
    files,
    reserving: { list: noReserving, create: noReserving, change: noReserving, remove: noReserving },
    services: systems.services,
    service: systems.service,
    heartbeats: () => calls.call(OPERATIONS.S6_liveness, {}),
    systems: systems.list,
    parameters: systems.parameters,
    whoami: systems.whoami,
    nodes: (system) => calls.call(OPERATIONS.S2_nodes, { system }),
    partitions: (system) => calls.call(OPERATIONS.S4_partitions, { system }),
    reservations: (system) => calls.call(OPERATIONS.S3_reservations, { system }),

    submit: async (job) =>
      submitJob(calls, { ...job, workingDirectory: job.workingDirectory ?? (await defaultDirectory(job)) }),
    cancel: (system, schedulerId) => cancelJob(calls, system, schedulerId),
    attach: (system, schedulerId, command) => attachToJob(calls, system, schedulerId, command),
    round: (system, jobs) => readRound(calls, deps.now, system, jobs),
    findByName: (system, name, since) => findByName(calls, deps.now, system, name, since),
    outputPaths: (system, schedulerId) => readOutputPaths(calls, system, schedulerId, () => systems.isPbs(system)),

    stage: transfers.stage,
    /** A lost answer held the only link: nobody can fetch the object, and the store lets it expire. */
    findStaged: async () => undefined,
    findUpload: async () => undefined,
    stageUpload: transfers.stageUpload,
    fileJob: transfers.fileJob,
    observe: outcomes.observe,
    release: outcomes.removeLogs,
    probe: (url) => probeLink(deps, url),
  };
}
