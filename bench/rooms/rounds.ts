/** Poll rounds over so many running jobs: what each one reads and writes, when nothing is new and when something is. */
import { type Counts, difference, openRoom, type Room, type RoomEnv, watchForeign } from "../support/room.ts";
import { median } from "../table.ts";

export interface RoundsInput {
  jobs: number;
  /** Quiet rounds. The site's answer is taken once and given again, so their time is ours alone. */
  rounds: number;
  /** Jobs that end before the last round. */
  ending: number;
}

export interface RoundsOutput {
  quiet: Counts;
  /** Of one quiet round, the median. */
  milliseconds: number;
  /** The round that saw the ends. */
  ends: Counts;
  /** Rows that changed in it: jobs, and their events. */
  endedRows: number;
}

export async function rounds(state: DurableObjectState, env: RoomEnv, input: RoundsInput): Promise<RoundsOutput> {
  const room = await openRoom(state, env, { api: "v2", site: { host: { machine: { cpus: 1_000_000 } } } });
  const { world } = room;
  const ids = await watchForeign(room, input.jobs);
  await world.until(() => world.house.row("SELECT 1 FROM jobs WHERE status <> 'running'") === undefined);
  // Past the hours in which news is expected.
  await world.firecrest.clock.advance(3 * 3_600_000);
  /** One round now, whenever it was due. */
  const round = async () => {
    room.aside("UPDATE agenda SET due_at = ? WHERE kind = 'round'", world.house.now());
    await world.run(world.ring());
  };
  await round();

  const restore = repeatAnswers(room);
  await round();
  const before = room.counts();
  const times: number[] = [];
  for (let n = 0; n < input.rounds; n++) {
    const from = await instant();
    await round();
    times.push((await instant()) - from);
  }
  const quiet = difference(room.counts(), before);
  restore();

  const seat = await world.firecrest.host.as(world.firecrest.user);
  for (const id of ids.slice(0, input.ending)) await seat.jobs.cancel(id);
  const rowsOf = (query: string) => world.house.row<{ n: number }>(query)?.n ?? 0;
  const events = rowsOf("SELECT count(*) AS n FROM events");
  const start = room.counts();
  await round();
  const ends = difference(room.counts(), start);
  const ended = rowsOf("SELECT count(*) AS n FROM jobs WHERE status = 'cancelled'");
  return {
    quiet,
    milliseconds: median(times),
    ends,
    endedRows: ended + rowsOf("SELECT count(*) AS n FROM events") - events,
  };
}

/** The runtime's clock stands still while code runs; it moves when something is waited for. */
async function instant(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  return Date.now();
}

/** Until the answer is called, each address is asked once and then repeats itself. */
function repeatAnswers({ world, requests }: Room): () => void {
  const { fetch } = world.firecrest;
  const answers = new Map<string, { status: number; headers: Headers; body: ArrayBuffer }>();
  world.firecrest.fetch = async (request) => {
    const known = answers.get(request.url);
    if (known !== undefined) {
      requests.push({ at: world.house.now(), method: request.method, url: new URL(request.url) });
      return new Response(known.body, known);
    }
    const answer = await fetch(request);
    const kept = { status: answer.status, headers: answer.headers, body: await answer.arrayBuffer() };
    answers.set(request.url, kept);
    return new Response(kept.body, kept);
  };
  return () => {
    world.firecrest.fetch = fetch;
  };
}
