/** An hour with so many live jobs on one system, in the world's time: what reaches the site. */
import type { Api } from "../../shared/firecrest/port.ts";
import { openRoom, type Room, type RoomEnv, watchForeign } from "../support/room.ts";

export interface FollowInput {
  api: Api;
  jobs: number;
  /** Mean run time of a job; each is replaced by another one when it ends. Absent = none ends. */
  meanRunSeconds?: number;
  requestsPerMinute: number;
  seconds: number;
}

export interface FollowOutput {
  /** To FirecREST itself. */
  requests: number;
  /** To where tokens come from. */
  tokens: number;
  rounds: number;
  /** Requests of one round, without looks at single jobs (v2), which grow with changes and not with jobs. */
  mostInRound: number;
  /** The busiest 60 seconds. */
  mostInMinute: number;
  /** Jobs that ended. */
  ended: number;
  /** From the end at the scheduler to the event, in seconds. */
  meanDelaySeconds: number;
}

const TOP_UP_MS = 10_000;

export async function follow(state: DurableObjectState, env: RoomEnv, input: FollowInput): Promise<FollowOutput> {
  const rounds: { requests: number; at: number }[] = [];
  const room: Room = await openRoom(state, env, {
    api: input.api,
    requestsPerMinute: input.requestsPerMinute,
    site: { host: { machine: { cpus: 1_000_000 } } },
    log: (line) => {
      if (line.event !== "round") return;
      rounds.push({ requests: inRound(room), at: room.requests.length });
    },
  });
  const inRound = ({ requests }: Room): number =>
    requests.slice(rounds.at(-1)?.at ?? 0).filter((request) => !isLook(request.url)).length;
  const { world } = room;
  const start = world.house.now();
  const random = seeded(1);

  await watchForeign(room, input.jobs, () => runSeconds(input, random));
  for (const end = start + input.seconds * 1000; world.house.now() < end; ) {
    await world.live(Math.min(TOP_UP_MS, end - world.house.now()));
    const live = world.house.row<{ n: number }>("SELECT count(*) AS n FROM jobs WHERE live = 1")?.n ?? 0;
    await watchForeign(room, input.jobs - live, () => runSeconds(input, random));
  }
  const delays = await delaysOf(room);
  const { pathname: tokenPath } = new URL(world.firecrest.tokenUrl);
  const tokens = room.requests.filter(({ url }) => url.pathname === tokenPath).length;
  return {
    requests: room.requests.length - tokens,
    tokens,
    rounds: rounds.length,
    mostInRound: Math.max(...rounds.map(({ requests }) => requests)),
    mostInMinute: busiest(
      room.requests.map(({ at }) => at),
      60_000,
    ),
    ended: delays.length,
    meanDelaySeconds: delays.reduce((sum, ms) => sum + ms, 0) / Math.max(1, delays.length) / 1000,
  };
}

const isLook = (url: URL): boolean => /\/compute\/[^/]+\/jobs\/[^/]+$/.test(url.pathname);

/** Evenly between nothing and twice the mean; far beyond the end where no job is to end. */
const runSeconds = ({ meanRunSeconds, seconds }: FollowInput, random: () => number): number =>
  meanRunSeconds === undefined ? 10 * seconds : 1 + Math.floor(2 * meanRunSeconds * random());

async function delaysOf({ world }: Room): Promise<number[]> {
  const ends = new Map((await world.firecrest.host.jobs()).map(({ jobId, endedAt }) => [jobId, endedAt]));
  return world.house
    .rows<{ doc: string }>("SELECT doc FROM jobs WHERE status = 'succeeded'")
    .map(({ doc }) => JSON.parse(doc) as { schedulerId: string; endedAt: number })
    .map(({ schedulerId, endedAt }) => endedAt - (ends.get(schedulerId) ?? endedAt));
}

/** Most of these moments within one window. */
function busiest(moments: readonly number[], windowMs: number): number {
  let most = 0;
  let first = 0;
  for (const [n, at] of moments.entries()) {
    while ((moments[first] ?? at) <= at - windowMs) first++;
    most = Math.max(most, n - first + 1);
  }
  return most;
}

/** The same run each time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
