/** A hundred receivers hear of the same jobs; the first of them may be dead. What becomes of the others' deliveries? */
import { openRoom, type RoomEnv } from "../support/room.ts";

export interface LanesInput {
  receivers: number;
  jobs: number;
  isFirstDead: boolean;
}

export interface LanesOutput {
  /** What each receiver was sent, in its order: `job.queued#1` is the first attempt of that event. */
  lanes: string[][];
}

const LATER_MS = 10 * 60_000;

export async function lanes(state: DurableObjectState, env: RoomEnv, input: LanesInput): Promise<LanesOutput> {
  const { world } = await openRoom(state, env);
  for (let n = 0; n < input.receivers; n++) {
    const status = n === 0 && input.isFirstDead ? 500 : 204;
    await world.receive(`r${n}`, () => new Response(null, { status }), ["job.*"]);
  }
  for (let n = 0; n < input.jobs; n++) {
    const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 5\n" });
    await world.until(() => world.job(id).settledAt !== undefined);
  }
  await world.live(LATER_MS);
  const lanes = Array.from({ length: input.receivers }, (): string[] => []);
  for (const { url, headers, body } of world.hits) {
    const { type } = JSON.parse(body) as { type: string };
    lanes[Number(new URL(url).pathname.slice(2))]?.push(`${type}#${headers["firewatch-attempt"]}`);
  }
  return { lanes };
}
