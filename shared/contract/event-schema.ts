/**
 * The published JSON Schema of each event type, made of the same declarations that Firewatch itself goes by: as it is sent
 * plain, and in its CloudEvents envelope. Objects stay open: fields may be added, none is taken away.
 */
import { CallbackEventData, ConnectionEventData, JobEventData, TransferEventData } from "./event.ts";
import type { EventType } from "./states.ts";
import { EventId, Time, z } from "./words.ts";

export const EVENT_FORMATS = ["plain", "cloudevents"] as const;
export type EventFormat = (typeof EVENT_FORMATS)[number];

const DATA = {
  job: JobEventData,
  transfer: TransferEventData,
  callback: CallbackEventData,
  connection: ConnectionEventData,
} as const;

/** What the `data` of this type is. */
export function eventDataOf(type: EventType): z.ZodType {
  const [family = ""] = type.split(".");
  return DATA[family as keyof typeof DATA];
}

function declared(type: EventType, format: EventFormat): z.ZodType {
  const data = eventDataOf(type);
  if (format === "plain") {
    return z.object({
      id: EventId,
      type: z.literal(type),
      timestamp: Time,
      sequence: z.number().int().min(1),
      subject: z.string(),
      data,
    });
  }
  return z.object({
    specversion: z.literal("1.0"),
    id: EventId,
    source: z.string(),
    type: z.literal(type),
    time: Time,
    subject: z.string(),
    sequence: z.string().regex(/^\d{20}$/),
    datacontenttype: z.literal("application/json"),
    dataschema: z.string().optional(),
    data,
  });
}

/** JSON Schema 2020-12. `url` is where it is published. */
export function eventSchema(type: EventType, format: EventFormat, url?: string): Record<string, unknown> {
  const schema = z.toJSONSchema(declared(type, format), { io: "input", target: "draft-2020-12" });
  return { ...(url === undefined ? {} : { $id: url }), title: `${type} (${format})`, ...schema };
}
