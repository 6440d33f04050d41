/**
 * Hostile paths at the front door. The OpenAPI document tells which inputs are paths; each of them gets each hostile path,
 * on a v1 and on a v2 connection. What its class cannot carry is a 422 that names the field; nothing is ever a 5xx.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, type Deployment, deploy } from "./deployment.ts";

type Schema = {
  $ref?: string;
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
};
interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** One input that is a path: how to send it, and how an error must name it. */
interface Field {
  title: string;
  pointer: string;
  send(connection: string, path: string): Promise<Answer>;
}

/** Inputs of these names are paths on the machine, wherever they stand. */
const PATH_NAMES = /^(path|from|to|target|link|scriptPath|workingDirectory)$/;
const ROUTES = /^\/v1\/connections\/\{c\}\/(jobs|transfers|systems\/\{s\}\/files\/\w+)$/;
const GOOD = "/good/path";
const SCRIPT = "#!/bin/bash\ntrue\n";

/** What no operation of any API can carry. */
const UNUSABLE: Record<string, string> = {
  "a quote": "/tmp/it's",
  "a quote that ends the command": "/tmp/x'; touch /tmp/firewatch-was-here; '",
  "a newline": "/tmp/a\nb",
  "a NUL": "/tmp/a\u0000b",
  "an escape": "/tmp/\u001b[2J",
  "a way up": "/tmp/../etc/passwd",
  "a leading dash": "/tmp/-rf",
  "5,000 characters": `/${"x".repeat(5000)}`,
};
/** What some can carry and some cannot. */
const DOUBTFUL: Record<string, string> = {
  "a substitution": "/tmp/$(touch /tmp/firewatch-was-here)",
  backticks: "/tmp/`touch /tmp/firewatch-was-here`",
  "shell words": "/tmp/a;b&c|d>e",
  "a double quote": '/tmp/a"b',
  "a backslash": "/tmp/a\\b",
  spaces: "/tmp/a b  c",
  "other alphabets": "/tmp/日本語-ünï-🔥",
  "a glob": "/tmp/*",
  markup: "/tmp/<b>&amp;",
  "a template": "/tmp/{{7*7}}%s$HOME",
};

let firewatch: Deployment;
let fields: Field[];
const connections = ["local-v1", "local-v2"] as const;
const cases = connections.flatMap((connection) =>
  [
    ...Object.entries(UNUSABLE).map(([what, path]) => ({ what, path, isUnusable: true })),
    ...Object.entries(DOUBTFUL).map(([what, path]) => ({ what, path, isUnusable: false })),
  ].map((hostile) => ({ connection, ...hostile })),
);

beforeAll(async () => {
  firewatch = await deploy({ apis: ["v1", "v2"] });
  const { body } = await firewatch.call("GET", "/openapi.json", { token: null });
  fields = fieldsOf(body as Document);
});
afterAll(() => firewatch?.stop());

it("finds the inputs that are paths", () => {
  const titles = fields.map(({ title }) => title);
  expect(titles).toEqual(
    expect.arrayContaining([
      "jobs /scriptPath",
      "jobs /workingDirectory",
      "jobs /outputs/0/path",
      "transfers /path",
      "files/ls ?path",
      "files/move /to",
      "files/symlink /link",
    ]),
  );
  expect(titles.length).toBeGreaterThan(25);
});

describe.each(cases)("$what, on $connection", ({ connection, path, isUnusable }) => {
  it(
    isUnusable ? "is refused with the name of the field" : "is refused with the name of the field, or carried",
    async () => {
      for (const { title, pointer, send } of fields) {
        const { status, body, text } = await send(connection, path);
        expect.soft(status, `${title}: ${text.slice(0, 300)}`).toBeLessThan(500);
        if (isUnusable) expect.soft(status, title).toBe(422);
        const named = new Set((body?.errors ?? []).map(({ field }: { field: string }) => field));
        // A 422 without a field is the site's own word on a path that was carried to it.
        if (isUnusable || named.size > 0) expect.soft([...named], title).toEqual([pointer]);
      }
    },
  );
});

it("has run nothing that stood in a path", async () => {
  await expect(stat(join("/tmp", "firewatch-was-here"))).rejects.toThrow("ENOENT");
});

// ------------------------------------------------------------------------------------------------- the description, read

function fieldsOf(document: Document): Field[] {
  const resolved = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : (document.components.schemas[schema.$ref.split("/").at(-1) ?? ""] ?? {});
  return Object.entries(document.paths)
    .filter(([route]) => ROUTES.test(route))
    .flatMap(([route, methods]) =>
      Object.entries(methods).flatMap(([method, operation]) => {
        const name = route.replace("/v1/connections/{c}/", "").replace("systems/{s}/", "");
        const query = (operation.parameters ?? []).filter((one) => one.in === "query" && PATH_NAMES.test(one.name));
        const schema = resolved(operation.requestBody?.content["application/json"]?.schema ?? {});
        const pointers = method === "post" ? pathsIn(schema, resolved) : [];
        return [
          ...query.map(
            (one): Field => ({
              title: `${name} ?${one.name}`,
              pointer: one.name,
              send: (connection, path) =>
                request(
                  connection,
                  method,
                  `${name}?${one.name}=${encodeURIComponent(path)}`,
                  method === "post" ? "x" : undefined,
                ),
            }),
          ),
          ...pointers.map(
            (pointer): Field => ({
              title: `${name} ${pointer}`,
              pointer,
              send: (connection, path) =>
                request(connection, method, name, JSON.stringify(bodyOf(name, schema, pointer, path))),
            }),
          ),
        ];
      }),
    );
}

function pathsIn(schema: Schema, resolved: (schema: Schema) => Schema, at = ""): string[] {
  const { properties = {}, items } = resolved(schema);
  if (items !== undefined) return pathsIn(items, resolved, `${at}/0`);
  return Object.entries(properties).flatMap(([name, inner]) =>
    PATH_NAMES.test(name) ? [`${at}/${name}`] : pathsIn(inner, resolved, `${at}/${name}`),
  );
}

/** Live transfers may not share a key. */
let keys = 0;

/** A body that is good but for the one path. */
function bodyOf(name: string, { required = [] }: Schema, pointer: string, path: string): unknown {
  const samples: Record<string, unknown> = {
    system: "cluster",
    mode: "644",
    direction: "download",
  };
  const body: Record<string, unknown> = Object.fromEntries(required.map((field) => [field, samples[field] ?? GOOD]));
  if (name === "transfers") body.key = `a/key-${keys++}`;
  if (name === "files/chown") body.group = "users";
  if (name === "jobs" && pointer !== "/scriptPath") body.script = SCRIPT;
  const [, field = "", index] = pointer.split("/");
  if (index === undefined) body[field] = path;
  else body[field] = [field === "inputs" ? { path, key: "a/key" } : { path }];
  return body;
}

async function request(connection: string, method: string, name: string, content: string | undefined): Promise<Answer> {
  const { url, apiKey } = firewatch.connections[connection] ?? { url: "", apiKey: "" };
  const path = name.startsWith("files/") ? `systems/cluster/${name}` : name;
  const isBytes = name.startsWith("files/upload");
  return await firewatch.call(method.toUpperCase(), `${url}/${path}`, {
    token: apiKey,
    ...(content === undefined
      ? {}
      : { raw: content, headers: { "content-type": isBytes ? "application/octet-stream" : "application/json" } }),
  });
}
