/** The JSON Schema of each event type, for receivers that check what they get. */
import { EVENT_FORMATS, eventSchema } from "../../../shared/contract/event-schema.ts";
import { EVENT_TYPES, EventType } from "../../../shared/contract/states.ts";
import { z } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { json } from "../answers.ts";
import type { Routes } from "../endpoint.ts";

const tag = "Events";
const FormatQuery = z.object({ format: z.enum(EVENT_FORMATS).optional() });
const CACHED = { "cache-control": "public, max-age=300" };

export function schemaRoutes({ open }: Routes): void {
  open(
    {
      id: "listEventSchemas",
      method: "get",
      path: "/v1/schemas",
      tag,
      summary: "Where the schema of each event type is",
      answers: {
        200: {
          description: "All types.",
          schema: z.object({ items: z.array(z.object({ type: EventType, url: z.string() })) }),
        },
      },
    },
    ({ publicUrl }) =>
      json(200, { items: EVENT_TYPES.map((type) => ({ type, url: `${publicUrl}/v1/schemas/${type}` })) }, CACHED),
  );

  open(
    {
      id: "getEventSchema",
      method: "get",
      path: "/v1/schemas/{type}",
      tag,
      summary: "The JSON Schema of one event type",
      description: "As a callback's body has it: plain, or with `?format=cloudevents` in its envelope.",
      query: FormatQuery,
      answers: {
        200: {
          description: "JSON Schema 2020-12.",
          schema: z.record(z.string(), z.unknown()),
          contentType: "application/schema+json",
        },
      },
    },
    ({ params, query, publicUrl }) => {
      const type = EventType.safeParse(params.type);
      if (!type.success) throw new Problem("not_found");
      const format = query.format ?? "plain";
      const url = `${publicUrl}/v1/schemas/${type.data}${format === "plain" ? "" : `?format=${format}`}`;
      return json(200, eventSchema(type.data, format, url), { ...CACHED, "content-type": "application/schema+json" });
    },
  );
}
