/** What sbatch gets to read of a request. Pure: what was examined when a job was accepted comes out the same when it is sent. */
import type { JobRequest } from "../../shared/contract/job.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { type Composed, composeScript } from "../../shared/firecrest/script.ts";
import { tagOf } from "../../shared/ids.ts";
import { manifestOf } from "./outputs.ts";

export function composeJob(
  api: Api,
  jobId: string,
  request: JobRequest,
  { workingDirectory, ping }: { workingDirectory?: string | undefined; ping?: string | undefined },
): Composed {
  const { script, scriptPath, name, resources, env } = request;
  return composeScript({
    api,
    tag: tagOf(jobId),
    ...(script === undefined ? {} : { script }),
    ...(scriptPath === undefined ? {} : { scriptPath }),
    ...(name === undefined ? {} : { name }),
    ...(resources === undefined ? {} : { resources }),
    ...(env === undefined ? {} : { env }),
    ...(workingDirectory === undefined ? {} : { workingDirectory }),
    ...(ping === undefined ? {} : { ping }),
    ...manifestOf(request),
  });
}
