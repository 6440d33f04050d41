/** What tests of callbacks ask of a world: what was sent, whether it verifies, what became of it. */
import { Webhook } from "standardwebhooks";
import { vi } from "vitest";
import type { Event } from "../../shared/contract/event.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import { webhookKeys } from "../../workers/poller/signing.ts";
import { attend } from "../../workers/poller/tracking.ts";
import type { Hit, World } from "./world.ts";

export const ACTOR = { name: "admin" };
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE write out.txt hello\n";
export const ok = () => new Response(null, { status: 200 });
export const fails = () => new Response("no", { status: 500 });

export function send(world: World, id: string): string {
  const answer = deliveries.sendTest(world.house, ACTOR, id, {});
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.id;
}
export const delivery = (world: World, id: string) =>
  deliveries.listDeliveries(world.house, { limit: 200 }).items.find((item) => item.id === id);
export const settled = (world: World, id: string) => () => world.job(id).settledAt !== undefined;
export const to = (world: World, path: string): Hit[] => world.hits.filter(({ url }) => url.endsWith(`/${path}`));
export const eventOf = ({ body }: Hit): Event => JSON.parse(body) as Event;
export const types = (world: World, family: string) =>
  world
    .events()
    .map(({ type }) => type)
    .filter((type) => type.startsWith(family));

/** A long time in one step: what fell due meanwhile is attended to at its end. */
export async function later(world: World, ms: number): Promise<void> {
  await world.firecrest.clock.advance(ms);
  await world.run(attend(world.desk));
  await world.drain();
}

/** The official library, at the time at which the delivery arrived. */
export function verifiesWith(secret: string, hit: Hit): boolean {
  vi.useFakeTimers({ toFake: ["Date"], now: hit.at });
  try {
    new Webhook(secret).verify(hit.body, hit.headers);
    return true;
  } catch {
    return false;
  } finally {
    vi.useRealTimers();
  }
}

/** WebCrypto and the published keys, nothing else. */
export async function verifiesWithPublishedKeys(world: World, { headers, body }: Hit): Promise<boolean> {
  const content = new TextEncoder().encode(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((entry) => entry.startsWith("v1a,"));
  for (const jwk of webhookKeys(world.house).keys) {
    const key = await crypto.subtle.importKey(
      "jwk",
      { kty: "OKP", crv: "Ed25519", x: String(jwk.x) },
      "Ed25519",
      false,
      ["verify"],
    );
    for (const entry of given) {
      const signature = Uint8Array.from(atob(entry.slice(4)), (char) => char.charCodeAt(0));
      if (await crypto.subtle.verify("Ed25519", key, signature, content)) return true;
    }
  }
  return false;
}
