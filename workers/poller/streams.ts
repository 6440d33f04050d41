/** The live event stream: catch-up first, then every event as it commits; progress as frames that are no events. */
import type { Event } from "../../shared/contract/event.ts";
import { effect } from "./effects.ts";
import type { House } from "./house.ts";
import { eventsAfter } from "./ledger.ts";
import { transferRecord } from "./transfers.ts";

export interface Streams {
  state: DurableObjectState;
  house: House;
}

const CATCH_UP_PAGE = 200;
const PROGRESS_EVERY_MS = 500;
const lastProgress = new Map<string, number>();

/** Accepts the WebSocket and sends what it missed. Hibernation keeps it open without keeping the object in memory. */
export function openStream({ state, house }: Streams, request: Request): Response {
  if (request.headers.get("upgrade") !== "websocket") return Response.json({ code: "invalid" }, { status: 426 });
  const after = Number(new URL(request.url).searchParams.get("after") ?? "0");
  const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
  state.acceptWebSocket(server);
  // Everything from here to the return is one turn: no event can commit in between and be missed or sent twice.
  for (let cursor = after; ; ) {
    const page = eventsAfter(house, { after: cursor, limit: CATCH_UP_PAGE });
    if (!page.ok) {
      server.send(JSON.stringify({ gone: { oldest: page.oldest } }));
      cursor = Number(page.oldest);
      continue;
    }
    for (const event of page.value.items) server.send(JSON.stringify({ event }));
    const last = page.value.items.at(-1);
    if (page.value.cursor === undefined || last === undefined) break;
    cursor = last.sequence;
  }
  return new Response(null, { status: 101, webSocket: client });
}

export function pushEvents({ state }: Streams, events: Event[]): void {
  const sockets = state.getWebSockets();
  if (sockets.length === 0) return;
  for (const event of events) broadcast(sockets, JSON.stringify({ event }));
}

/** At most two frames a second and transfer. */
export function pushProgress({ state, house }: Streams, effectId: string): void {
  const sockets = state.getWebSockets();
  if (sockets.length === 0) return;
  const transferId = effect(house, effectId)?.subject;
  const transfer = transferId === undefined ? undefined : transferRecord(house, transferId);
  if (transfer === undefined) return;
  const now = house.now();
  if (now - (lastProgress.get(transfer.id) ?? 0) < PROGRESS_EVERY_MS) return;
  lastProgress.set(transfer.id, now);
  if (transfer.status !== "copying") lastProgress.delete(transfer.id);
  broadcast(
    sockets,
    JSON.stringify({
      progress: {
        transfer: transfer.id,
        bytes: transfer.copiedBytes,
        totalBytes: transfer.upload?.totalBytes ?? transfer.size,
      },
    }),
  );
}

function broadcast(sockets: WebSocket[], frame: string): void {
  for (const socket of sockets) {
    try {
      socket.send(frame);
    } catch {
      // A socket that is closing misses the frame and catches up by its sequence when it comes back.
    }
  }
}
