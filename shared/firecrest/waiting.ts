/**
 * Why a job waits, in plain words. Slurm's reasons for a pending job that time alone will not end, or that somebody should
 * know about: most others (`Priority`, `Resources`, group limits) end by themselves and are not here.
 */

export interface Waiting {
  /** It stays where it is until somebody changes the job or the site. Otherwise it may start, but not soon. */
  never: boolean;
  words: string;
}

const never = (words: string): Waiting => ({ never: true, words });
const held = (words: string): Waiting => ({ never: false, words });

const BY_REASON: Record<string, Waiting> = {
  DependencyNeverSatisfied: never("It depends on a job that ended otherwise than the dependency asks. Cancel it."),
  InvalidAccount: never("Its account is not valid on this system. Submit it again with another account."),
  AccountNotAllowed: never(
    "Its account may not use this partition. Submit it again with another account or partition.",
  ),
  InvalidQOS: never("Its QOS is not valid. Submit it again with another one."),
  QOSNotAllowed: never("Its QOS may not be used with this account or partition. Submit it again with another one."),
  BadConstraints: never("No node has what it asks for. Submit it again with other constraints."),
  NodeCountMismatch: never("The number of nodes and the nodes that it names do not fit together."),
  PartitionConfig: never(
    "It asks for something that its partition does not offer. Submit it again with other resources.",
  ),
  PartitionNodeLimit: never("It asks for more, or fewer, nodes than its partition allows."),
  PartitionTimeLimit: never(
    "It asks for more time than its partition allows. Submit it again with a shorter time limit.",
  ),
  MaxMemPerLimit: never("It asks for more memory than a node or processor of its partition may give."),
  ReservationDeleted: never("The reservation that it asks for was deleted."),
  ReqNodeNotAvail: held(
    "A node that it needs is down, drained or reserved, for maintenance perhaps. It waits until then.",
  ),
  PartitionDown: held("Its partition is down. It waits until the site opens it again."),
  PartitionInactive: held("Its partition starts nothing at the moment. It waits until the site opens it again."),
  JobHeldUser: held("Its owner holds it back. It waits until it is released."),
  JobHeldAdmin: held("The site holds it back. Ask the site, or wait until it is released."),
  JobHoldMaxRequeue: held("It was requeued too often and is held back. Find out why it does not run, then release it."),
  JobLaunchFailure: held("It could not be launched and is held back. Ask the site."),
  "launch failed requeued held": held("It could not be launched and is held back. Ask the site."),
};

const ABOUT: readonly (readonly [RegExp, string])[] = [
  [/WallDuration/, "more time"],
  [/Cpu(RunMins|Minutes|Mins)/, "more processor time"],
  [/Cpu/, "more processors"],
  [/Node/, "more nodes"],
  [/Mem/, "more memory"],
  [/GRES/i, "more devices, GPUs for instance,"],
  [/BB/, "more burst buffer"],
  [/Billing/, "more billed resources"],
  [/License/, "more licences"],
];

/**
 * Limits for one job, of an account (`Assoc…`) or a QOS: what asks for more than they allow never starts. Limits for all jobs
 * of a user or group end when others do.
 */
function perJobLimit(reason: string): Waiting | undefined {
  const limit = /^(Assoc|QOS)(Max|Min)(\w*?)(Per(?:Job|Node)(?:Limit)?|NotSatisfied)$/.exec(reason);
  const least = /^(Assoc|QOS)Min(\w+)$/.exec(reason);
  const [, owner, , subject] = limit ?? least ?? [];
  if (owner === undefined) return undefined;
  const whose = owner === "QOS" ? "its QOS" : "its account";
  if (least !== null) return never(`It asks for less than ${whose} demands of a job. Submit it again with more.`);
  const what = ABOUT.find(([look]) => look.test(subject ?? ""))?.[1] ?? "more";
  return never(`It asks for ${what} than ${whose} allows a job. Submit it again with less.`);
}

/** Whether a waiting job with this scheduler reason stays waiting until somebody changes it. */
export const neverStarts = (pendingReason: string): boolean => waitingFor(pendingReason)?.never === true;

/** What a waiting job's reason means to people; undefined where it is nothing to worry about. */
export function waitingFor(pendingReason: string): Waiting | undefined {
  // `ReqNodeNotAvail, UnavailableNodes:nid001`: what follows is detail.
  const reason = pendingReason.split(/[,(]/, 1)[0]?.trim() ?? "";
  return (Object.hasOwn(BY_REASON, reason) ? BY_REASON[reason] : undefined) ?? perJobLimit(reason);
}
