/** What the things that people pay for take, operation by operation. */

import { type Counts, difference, openRoom, type RoomEnv, watchForeign } from "../support/room.ts";

/** A v2 connection with its default budget, as it is at a site. */
const SITE = { api: "v2", requestsPerMinute: 60 } as const;

export interface LifeOutput {
  counts: Counts;
  /** How often the alarm rang. */
  alarms: number;
  callbacks: number;
}

/** One job from its acceptance until it is settled and its news is delivered. */
export async function life(
  state: DurableObjectState,
  env: RoomEnv,
  input: { runSeconds: number; receivers: number },
): Promise<LifeOutput> {
  const room = await openRoom(state, env, SITE);
  const { world } = room;
  for (let n = 0; n < input.receivers; n++)
    await world.receive(`r${n}`, () => new Response(null, { status: 204 }), ["job.*"]);
  const [before, rung] = [room.counts(), world.rings];
  const { id } = await world.submit({ script: `#!/bin/bash -l\n#FAKE sleep ${input.runSeconds}\n` });
  await world.until(() => world.job(id).settledAt !== undefined);
  await world.drain();
  return { counts: difference(room.counts(), before), alarms: world.rings - rung, callbacks: world.hits.length };
}

/** A file of so many bytes from the machine into R2, link and all. v1, where links are released. */
export async function move(state: DurableObjectState, env: RoomEnv, input: { bytes: number }): Promise<LifeOutput> {
  const room = await openRoom(state, env);
  const { world } = room;
  const { id } = await world.submit({ script: `#!/bin/bash -l\n#FAKE bytes big.dat ${input.bytes}\n` });
  await world.until(() => world.job(id).settledAt !== undefined);
  const [before, rung] = [room.counts(), world.rings];
  const directory =
    world.house.row<{ at: string }>("SELECT json_extract(doc, '$.workingDirectory') AS at FROM jobs")?.at ?? "";
  const transfer = await world.download(`${directory}/big.dat`, `big-${input.bytes}.dat`);
  await world.until(() => world.transfer(transfer.id).status === "stored" && world.owed() === 0);
  return { counts: difference(room.counts(), before), alarms: world.rings - rung, callbacks: 0 };
}

/** An hour of so many quiet jobs, hours after anything happened. */
export async function vigil(state: DurableObjectState, env: RoomEnv, input: { jobs: number }): Promise<LifeOutput> {
  const room = await openRoom(state, env, { ...SITE, site: { host: { machine: { cpus: 1_000_000 } } } });
  const { world } = room;
  await watchForeign(room, input.jobs);
  await world.live(60_000);
  await world.firecrest.clock.advance(3 * 3_600_000);
  await world.live(60_000);
  const [before, rung] = [room.counts(), world.rings];
  await world.live(3_600_000);
  return { counts: difference(room.counts(), before), alarms: world.rings - rung, callbacks: 0 };
}
