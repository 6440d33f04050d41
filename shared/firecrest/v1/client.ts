/** FirecREST v1 (Slurm only; tasks; a staging area whose objects can be asked to go) behind the port. */
import { fieldsOf, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import { createGuard } from "../guard.ts";
import type { ClientDeps, Firecrest } from "../port.ts";
import { probeLink } from "../staged-link.ts";
import { createCall, type Site, UNCACHED } from "./call.ts";
import { createFileOps } from "./files.ts";
import { cancelJob, findByName, outputPaths, submitJob } from "./jobs.ts";
import { readNodes, readPartitions, readReservations } from "./machine.ts";
import { observeHandles } from "./observe.ts";
import { createReserving } from "./reserving.ts";
import { pollRound } from "./round.ts";
import { createServices } from "./services.ts";
import { findStaged, findUpload, releaseStaged, stageFile, startFileJob, startUpload } from "./storage.ts";
import { decodeParameters, decodeSystems } from "./wire.ts";

const NO_ATTACH =
  "FirecREST v1 cannot run a command beside a job. Start it in the job's own script, in the background (`command &`), or ask the site for FirecREST v2";

export function createV1Client(deps: ClientDeps): Firecrest {
  const site: Site = { deps, call: createCall(deps), guard: createGuard("v1") };
  const { call } = site;
  const files = createFileOps(site);
  const { services, service, heartbeats } = createServices(call);
  const status = async (what: string) =>
    (await call({ method: "GET", path: `/status/${what}`, headers: UNCACHED, effect: false })).body;

  return {
    api: "v1",
    files,
    reserving: createReserving(site),
    services,
    service,
    heartbeats,
    async systems() {
      return decodeSystems(await status("systems"), await status("filesystems").catch(noneBefore115));
    },
    parameters: async () => decodeParameters(await status("parameters")),
    async whoami(system) {
      const answer = await call({ method: "GET", path: "/utilities/whoami", system, effect: false });
      const user = text(fieldsOf(answer.body).output);
      if (user === undefined) {
        throw new FirecrestError("utilities/whoami: the site names no user", {
          code: "unreadable_answer",
          retry: "later",
        });
      }
      return user;
    },
    nodes: (system) => readNodes(site, system),
    partitions: (system) => readPartitions(site, system),
    reservations: (system) => readReservations(site, system),
    submit: (job) => submitJob(site, job),
    cancel: (system, schedulerId) => cancelJob(site, system, schedulerId),
    async attach() {
      throw new FirecrestError(NO_ATTACH, { code: "not_supported", retry: "never" });
    },
    round: (system, jobs) => pollRound(deps, system, jobs),
    findByName: (system, name, since) => findByName(site, system, name, since),
    outputPaths: (system, schedulerId) => outputPaths(site, system, schedulerId),
    stage: (system, path) => stageFile(site, system, path),
    findStaged: (system, path, since) => findStaged(site, system, path, since),
    findUpload: (system, path, since) => findUpload(site, system, path, since),
    stageUpload: (system, path) => startUpload(site, system, path),
    fileJob: (system, job, account, after) => startFileJob(site, system, job, account, after),
    observe: (handles) => observeHandles(site, files, handles),
    release: (handle) => releaseStaged(site, handle),
    probe: (url) => probeLink(deps, url),
  };
}

/** Releases before 1.15 do not list file systems. */
function noneBefore115(error: unknown): undefined {
  if (error instanceof FirecrestError && (error.httpStatus === 404 || error.httpStatus === 400)) return undefined;
  throw error;
}
