/** What a connection's owner says that its jobs may ask for at most, and what one job had asked for. */
import type { JobLimits } from "../../shared/contract/connection.ts";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { FieldProblem } from "../../shared/contract/rpc.ts";
import type { JobRecord } from "../../shared/domain/job.ts";
import { type Asked, askedOf } from "../../shared/firecrest/asked.ts";
import type { House } from "./house.ts";
import type { SiteConfig } from "./site.ts";

type Limits = JobLimits[string];

/** Of a partition where it is known; what is not said of it holds for its whole system. */
function limitsOf(limits: JobLimits = {}, system: string, partition: string | undefined): Limits {
  return { ...limits[system], ...(partition === undefined ? {} : limits[`${system}/${partition}`]) };
}

export function limitProblems({ limits: declared }: SiteConfig, request: JobRequest): FieldProblem[] {
  const asked = askedOf(request);
  const limits = limitsOf(declared, request.system, asked.partition);
  return (["timeLimitSeconds", "memoryMiB"] as const).flatMap((field) => {
    const [wanted, most] = [asked[field], limits[field]];
    if (wanted === undefined || most === undefined || wanted <= most) return [];
    const where = asked.partition === undefined ? request.system : `${request.system}/${asked.partition}`;
    return [{ field: `/resources/${field}`, message: `must be at most ${most}: that is what ${where} allows` }];
  });
}

/** What it takes to propose something better than what a job had. */
export interface Provided extends Pick<Asked, "memoryMiB"> {
  limits: Limits;
  /** Its script is on the site: it can be given resources only by sending its text. */
  scriptPath?: string;
}

export function providedFor(house: House, { system, request }: Pick<JobRecord, "system" | "request">): Provided {
  const { partition, memoryMiB } = askedOf(request ?? {});
  const site = JSON.parse(house.meta("site") ?? "{}") as Partial<SiteConfig>;
  return {
    limits: limitsOf(site.limits, system, partition),
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
    ...(request?.scriptPath === undefined ? {} : { scriptPath: request.scriptPath }),
  };
}
