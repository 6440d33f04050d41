/** Runs scenarios, each in a Durable Object of its own, and answers what they found. */
import { DurableObject } from "cloudflare:workers";
import { follow } from "../rooms/follow.ts";
import { lanes } from "../rooms/lanes.ts";
import { life, move, vigil } from "../rooms/lives.ts";
import { rounds } from "../rooms/rounds.ts";
import type { RoomEnv } from "./room.ts";

/** By the name under which `support/rooms.ts` calls them. */
const SCENARIOS = { follow, lanes, life, move, rounds, vigil } as const;
export type Scenarios = typeof SCENARIOS;

export class Room extends DurableObject<RoomEnv> {
  override async fetch(request: Request): Promise<Response> {
    const { scenario, input } = (await request.json()) as { scenario: keyof Scenarios; input: never };
    return Response.json(await SCENARIOS[scenario](this.ctx, this.env, input));
  }
}

export default {
  fetch: (request, env) => env.ROOM.get(env.ROOM.newUniqueId()).fetch(request),
} satisfies ExportedHandler<RoomEnv>;
