/** The ledger, as pages and as a stream. */
import { Event, EventsQuery } from "../../../shared/contract/event.ts";
import { pageOf } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { given, json } from "../answers.ts";
import type { Call, Routes } from "../endpoint.ts";
import { eventStream } from "../event-stream.ts";
import { EXAMPLE } from "../examples.ts";

export function eventRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "listEvents",
      method: "get",
      path: "/v1/connections/{c}/events",
      tag: "Events",
      summary: "Everything that happened, in order",
      description:
        "`?after=` is the last sequence you have; 0 or nothing is the start. With `Accept: text/event-stream` it stays open and streams: the `id` of each event is its sequence, and `Last-Event-ID` resumes. Progress frames (`event: progress`) have no id and are not kept.",
      scope: "jobs:read",
      query: EventsQuery,
      answers: {
        200: {
          description: "A page, oldest first, or the stream.",
          schema: pageOf(Event),
          example: { items: [EXAMPLE.event], cursor: "7" },
        },
        410: { description: "Events this old are no longer kept; `oldest` is the oldest cursor that works." },
      },
    },
    async (call) => {
      const { tracker, caller, query, request } = call;
      const wantsStream = request.headers.get("accept")?.includes("text/event-stream") === true;
      return wantsStream
        ? stream(call, query.after ?? query.cursor ?? 0)
        : json(200, given(await tracker.events(caller, query)));
    },
  );
}

async function stream({ tracker, caller, request, deps }: Call, asked: number): Promise<Response> {
  const lastEventId = request.headers.get("last-event-id");
  const after = lastEventId !== null && /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : asked;
  // Refusals and a cursor that is too old are told as a problem, before anything is open.
  given(await tracker.events(caller, { after, limit: 1 }));
  const answer = await tracker.fetch(`https://tracker/stream?after=${after}`, {
    headers: { upgrade: "websocket", "x-caller": asciiJson(caller) },
  });
  if (!answer.webSocket) throw new Problem("unavailable", { retryAfterSeconds: 1 });
  return eventStream(answer.webSocket, deps.every);
}

/** JSON that a header can carry, whatever the claims of a token hold. */
const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
