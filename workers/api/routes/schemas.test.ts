import { describe, expect, it } from "vitest";
import { EVENT_FORMATS, type EventFormat, eventSchema } from "../../../shared/contract/event-schema.ts";
import { EVENT_TYPES, type EventType } from "../../../shared/contract/states.ts";
import published from "../../../test/data/event-schemas.json" with { type: "json" };
import { createWorld } from "../testing/world.ts";

describe("schemas of events", () => {
  it("are listed and served to everybody, for every type and in both forms", async () => {
    const world = await createWorld();
    const list = await world.send("/v1/schemas");
    const { items } = (await list.json()) as { items: { type: string; url: string }[] };
    expect(items.map(({ type }) => type)).toEqual([...EVENT_TYPES]);
    for (const { url } of items) {
      for (const format of EVENT_FORMATS) {
        const answer = await world.send(`${new URL(url).pathname}?format=${format}`);
        expect(answer.status).toBe(200);
        expect(answer.headers.get("content-type")).toBe("application/schema+json");
        expect(await answer.json()).toMatchObject({ type: "object", properties: { data: { type: "object" } } });
      }
    }
  });

  it("answer 404 for what is no type and 422 for what is no form", async () => {
    const world = await createWorld();
    expect((await world.send("/v1/schemas/job.exploded")).status).toBe(404);
    expect((await world.send("/v1/schemas/job.queued?format=xml")).status).toBe(422);
  });
});

/** As much of JSON Schema as our own schemas use. */
interface Schema {
  type?: string;
  const?: unknown;
  enum?: string[];
  pattern?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
}

/** What a receiver that was written for `before` could stumble over in what is sent now. */
function breaks(before: Schema, now: Schema, at = ""): string[] {
  const found: string[] = [];
  if (before.type !== now.type) found.push(`${at} was ${before.type} and is ${now.type}`);
  if (before.const !== now.const) found.push(`${at} was always ${before.const}`);
  const words = (now.enum ?? []).filter((word) => before.enum !== undefined && !before.enum.includes(word));
  if (words.length > 0) found.push(`${at} may now be ${words.join(", ")}`);
  for (const [name, old] of Object.entries(before.properties ?? {})) {
    const still = now.properties?.[name];
    if (still === undefined) found.push(`${at}/${name} is gone`);
    else found.push(...breaks(old, still, `${at}/${name}`));
    if (before.required?.includes(name) && !now.required?.includes(name))
      found.push(`${at}/${name} may now be missing`);
  }
  if (before.items !== undefined) found.push(...breaks(before.items, now.items ?? {}, `${at}[]`));
  return found;
}

describe("a published schema", () => {
  /** One type of each family: the others differ in their name only. */
  const { types, schemas } = published as unknown as {
    types: EventType[];
    schemas: Record<EventType, Record<EventFormat, Schema>>;
  };

  it("is never broken: whoever reads events by it can read what is sent now", () => {
    expect(types.filter((type) => !EVENT_TYPES.includes(type))).toEqual([]);
    for (const [type, forms] of Object.entries(schemas)) {
      for (const format of EVENT_FORMATS) {
        const now = eventSchema(type as EventType, format) as Schema;
        expect([type, format, breaks(forms[format], now)]).toEqual([type, format, []]);
      }
    }
  });

  it("would be seen to break", () => {
    const before: Schema = {
      type: "object",
      properties: { a: { type: "string" }, b: { type: "string", enum: ["x"] } },
      required: ["a"],
    };
    expect(breaks(before, { type: "object", properties: { b: { type: "string", enum: ["x", "y"] } } })).toEqual([
      "/a is gone",
      "/a may now be missing",
      "/b may now be y",
    ]);
    expect(breaks(before, { ...before, properties: { ...before.properties, c: { type: "number" } } })).toEqual([]);
  });
});
