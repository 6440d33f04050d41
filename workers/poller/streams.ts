/** The live event stream: catch-up first, then every event as it commits; progress as frames that are no events. */

import type { Caller } from "../../shared/contract/access.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { Progress } from "../../shared/contract/transfer.ts";
import { type Actor, isLiveIdentity, isLiveKey } from "./access.ts";
import type { House } from "./house.ts";
import { eventsAfter, mayRead } from "./ledger.ts";

export interface Streams {
  state: Pick<DurableObjectState, "acceptWebSocket" | "getWebSockets">;
  house: House;
}

/** What a hibernating socket remembers of its reader: what may be read, and how long. */
interface Reader {
  systems?: string[];
  /** Hash of the API key: revoking it ends the stream. */
  key?: string;
  /** Name of the OIDC binding: removing or changing it ends the stream. */
  identity?: string;
  /** When the token that opened it ends, in ms. */
  until?: number;
}

const CATCH_UP_PAGE = 200;
/** A reader that missed more than this gets the rest when it comes back: the Tracker never holds a whole ledger in memory. */
const CATCH_UP_MAX = 5_000;
/** Tells a reader that its stream ends because its credential did. */
const CREDENTIAL_ENDED = 4001;
const COME_BACK = 4002;

/** Accepts the WebSocket and sends what it missed. Hibernation keeps it open without keeping the object in memory. */
export function openStream({ state, house }: Streams, request: Request, caller: Caller, actor: Actor): Response {
  if (request.headers.get("upgrade") !== "websocket") return Response.json({ code: "invalid" }, { status: 426 });
  const asked = new URL(request.url).searchParams.get("after") ?? "0";
  const after = /^\d{1,15}$/.test(asked) ? Number(asked) : 0;
  const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
  state.acceptWebSocket(server);
  server.serializeAttachment(readerOf(caller, actor));
  // Everything from here to the return is one turn: no event can commit in between and be missed or sent twice.
  if (catchUp(house, server, actor, after) >= CATCH_UP_MAX) server.close(COME_BACK, "more is waiting: come back");
  return new Response(null, { status: 101, webSocket: client });
}

const IDENTITY = "identity:";

function readerOf(caller: Caller, { name, systems }: Actor): Reader {
  const ends = caller.kind === "oidc" ? caller.claims.exp : undefined;
  return {
    ...(systems === undefined ? {} : { systems }),
    ...(caller.kind === "key" ? { key: caller.hash } : {}),
    ...(name.startsWith(IDENTITY) ? { identity: name.slice(IDENTITY.length) } : {}),
    ...(typeof ends === "number" ? { until: ends * 1000 } : {}),
  };
}

/** Answers how many events were sent. */
function catchUp(house: House, socket: WebSocket, actor: Actor, after: number): number {
  let cursor = after;
  let sent = 0;
  while (sent < CATCH_UP_MAX) {
    const page = eventsAfter(house, { after: cursor, limit: CATCH_UP_PAGE }, actor);
    if (!page.ok) {
      socket.send(JSON.stringify({ gone: { oldest: page.oldest } }));
      cursor = Number(page.oldest);
      continue;
    }
    for (const event of page.value.items) socket.send(JSON.stringify({ event }));
    sent += page.value.items.length;
    const last = page.value.items.at(-1);
    if (page.value.cursor === undefined || last === undefined) break;
    cursor = last.sequence;
  }
  return sent;
}

export function pushEvents(streams: Streams, events: Event[]): void {
  for (const { socket, reader } of readers(streams)) {
    for (const event of events) if (mayRead(streams.house, reader, event)) send(socket, { event });
  }
}

/** How far a transfer of this system is: a frame that is no event. Who is not there misses it. */
export function pushProgress(streams: Streams, system: string, progress: Progress): void {
  for (const { socket, reader } of readers(streams)) {
    if (reader.systems?.includes(system) ?? true) send(socket, { progress });
  }
}

/** Those who may still read; whoever's credential has ended is let go. */
function readers({ state, house }: Streams): { socket: WebSocket; reader: Reader }[] {
  return state.getWebSockets().flatMap((socket) => {
    const reader = (socket.deserializeAttachment() ?? {}) as Reader;
    if (mayStillRead(house, reader)) return [{ socket, reader }];
    socket.close(CREDENTIAL_ENDED, "the credential has ended");
    return [];
  });
}

function mayStillRead(house: House, { key, identity, systems, until = Number.POSITIVE_INFINITY }: Reader): boolean {
  if (until <= house.now()) return false;
  if (key !== undefined) return isLiveKey(house, key);
  return identity === undefined || isLiveIdentity(house, identity, systems);
}

/** The connection goes, and with it everybody's right to read: whoever makes one of its name may be somebody else. */
export function closeStreams({ state }: Pick<Streams, "state">): void {
  for (const socket of state.getWebSockets()) socket.close(CREDENTIAL_ENDED, "the connection was removed");
}

function send(socket: WebSocket, frame: unknown): void {
  try {
    socket.send(JSON.stringify(frame));
  } catch {
    // A socket that is closing misses the frame and catches up by its sequence when it comes back.
  }
}
