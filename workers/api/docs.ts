/** The API description as one page: made from the OpenAPI document, complete in itself, without a line of script. */
import { z } from "../../shared/contract/words.ts";
import { DOCS_STYLE } from "./docs-style.ts";

/** The part of OpenAPI that the page shows; the document is our own, read as if it were not. */
const SchemaRef = z.looseObject({ $ref: z.string().optional() });
const Media = z.looseObject({ schema: SchemaRef.optional(), example: z.unknown().optional() });
const Content = z.record(z.string(), Media);
const Parameter = z.looseObject({
  name: z.string(),
  in: z.string(),
  required: z.boolean().optional(),
  description: z.string().optional(),
  schema: SchemaRef.optional(),
});
const Operation = z.looseObject({
  operationId: z.string(),
  summary: z.string(),
  description: z.string().optional(),
  tags: z.array(z.string()),
  "x-scope": z.string().optional(),
  parameters: z.array(Parameter).optional(),
  requestBody: z.looseObject({ content: Content }).optional(),
  responses: z.record(z.string(), z.looseObject({ description: z.string(), content: Content.optional() })),
});
const Document = z.looseObject({
  info: z.looseObject({ title: z.string(), version: z.string(), description: z.string() }),
  servers: z.array(z.object({ url: z.string() })),
  tags: z.array(z.object({ name: z.string(), description: z.string() })),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
});

type Schema = Record<string, unknown>;
interface Shown extends z.infer<typeof Operation> {
  method: string;
  path: string;
}

/** Text that stands on the page as it is. Everything that is not markup of ours goes through here. */
const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
/** `code` in our descriptions. */
const prose = (text: string): string => escapeHtml(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
const anchor = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");

export function docsPage(document: unknown): string {
  const { info, servers, tags, paths, components } = Document.parse(document);
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Shown => ({ ...operation, method, path })),
  );
  const sections = tags.map((tag) => ({
    ...tag,
    operations: operations.filter((operation) => operation.tags.includes(tag.name)),
  }));
  const { schemas } = components;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(info.title)} API</title>
<style>${DOCS_STYLE}</style>
</head>
<body>
<nav aria-label="Contents">
<a class="home" href="#top">${escapeHtml(info.title)}</a>
${sections.map(navigation).join("\n")}
<h2><a href="#schemas">Schemas</a></h2>
</nav>
<main id="top">
<header>
<h1>${escapeHtml(info.title)} API</h1>
${info.description
  .split("\n\n")
  .map((paragraph) => `<p>${prose(paragraph)}</p>`)
  .join("\n")}
<p class="server"><span>Base</span> <code>${escapeHtml(servers[0]?.url ?? "")}</code> <a href="/openapi.json">OpenAPI 3.1</a></p>
</header>
${sections.map(section).join("\n")}
<section id="schemas">
<h2>Schemas</h2>
${Object.entries(schemas)
  .map(([name, schema]) => component(name, schema))
  .join("\n")}
</section>
</main>
</body>
</html>
`;
}

type Section = { name: string; description: string; operations: Shown[] };

const navigation = ({ name, operations }: Section): string =>
  `<h2><a href="#${anchor(name)}">${escapeHtml(name)}</a></h2>\n<ul>${operations.map(({ operationId, method, summary }) => `<li><a href="#${operationId}"><b class="${method}">${method}</b> ${escapeHtml(summary)}</a></li>`).join("")}</ul>`;

const section = ({ name, description, operations }: Section): string =>
  `<section id="${anchor(name)}">\n<h2>${escapeHtml(name)}</h2>\n<p>${prose(description)}</p>\n${operations.map(operationCard).join("\n")}\n</section>`;

function operationCard({
  operationId,
  method,
  path,
  summary,
  description,
  parameters,
  requestBody,
  responses,
  ...rest
}: Shown): string {
  const scope = rest["x-scope"];
  const [good, refusals] = [
    Object.entries(responses).filter(([status]) => status < "300"),
    Object.entries(responses).filter(([status]) => status >= "300"),
  ];
  return `<article id="${operationId}">
<h3><b class="${method}">${method}</b> <code>${escapeHtml(path).replaceAll(/\{[^}]+\}/g, "<i>$&</i>")}</code></h3>
<p class="summary">${escapeHtml(summary)}${scope === undefined ? "" : ` <span class="scope">${escapeHtml(scope)}</span>`}</p>
${description === undefined ? "" : `<p>${prose(description)}</p>`}
${parameters === undefined ? "" : parameterTable(parameters)}
${requestBody === undefined ? "" : contentOf("Request", requestBody.content)}
${good.map(([status, { description: words, content }]) => contentOf(`${status} · ${words}`, content)).join("\n")}
<details class="refusals"><summary>Refusals: ${refusals.map(([status]) => status).join(", ")}</summary>
<dl>${refusals.map(([status, { description: words }]) => `<dt>${status}</dt><dd>${prose(words)}</dd>`).join("")}</dl></details>
</article>`;
}

function parameterTable(parameters: z.infer<typeof Parameter>[]): string {
  const rows = parameters.map(
    ({ name, in: where, required, description, schema }) =>
      `<tr><td><code>${escapeHtml(name)}</code>${required ? "<sup>*</sup>" : ""}</td><td>${where}</td><td>${typeOf(schema ?? {})}</td><td>${prose(description ?? wordsOf(schema ?? {}))}</td></tr>`,
  );
  return `<table><thead><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

function contentOf(title: string, content: z.infer<typeof Content> | undefined): string {
  const [[contentType, media] = []] = Object.entries(content ?? {});
  if (contentType === undefined || media === undefined) return `<h4>${prose(title)}</h4>`;
  const example =
    media.example === undefined ? "" : `<pre><code>${escapeHtml(JSON.stringify(media.example, null, 2))}</code></pre>`;
  return `<h4>${prose(title)}</h4>\n<p class="media"><code>${escapeHtml(contentType)}</code> ${typeOf(media.schema ?? {})}</p>\n${example}`;
}

/** The id stands inside the fold: a link to it opens the fold, without a script. */
const component = (name: string, schema: Schema): string =>
  `<details class="schema"><summary><code>${escapeHtml(name)}</code></summary>\n<section id="schema-${anchor(name)}">${shapeOf(schema)}</section>\n</details>`;

/** An object's fields, or of a choice each of its shapes. */
function shapeOf(schema: Schema): string {
  const options = listOf(schema.anyOf ?? schema.oneOf ?? schema.allOf);
  if (options.length > 0)
    return options
      .map((option) => (typeof option.$ref === "string" ? `<p>${typeOf(option)}</p>` : shapeOf(option)))
      .join("\n<hr>\n");
  const properties = Object.entries(recordOf(schema.properties));
  if (properties.length === 0) return `<p>${typeOf(schema)} ${prose(wordsOf(schema))}</p>`;
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  const rows = properties.map(([name, value]) => {
    const field = recordOf(value);
    const nested = nestedOf(field);
    return `<tr><td><code>${escapeHtml(name)}</code>${required.has(name) ? "<sup>*</sup>" : ""}</td><td>${typeOf(field)}</td><td>${prose(wordsOf(field))}${nested === undefined ? "" : `<details><summary>fields</summary>${shapeOf(nested)}</details>`}</td></tr>`;
  });
  return `<table><thead><tr><th>Field</th><th>Type</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

/** The object inside a field, where it has one of its own and not one that is named elsewhere. */
function nestedOf(field: Schema): Schema | undefined {
  const inner = field.type === "array" ? recordOf(field.items) : field;
  return inner.properties !== undefined || inner.anyOf !== undefined || inner.oneOf !== undefined ? inner : undefined;
}

function typeOf(schema: Schema): string {
  if (typeof schema.$ref === "string") {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return `<a href="#schema-${anchor(name)}">${escapeHtml(name)}</a>`;
  }
  if (Array.isArray(schema.enum))
    return schema.enum.map((value) => `<code>${escapeHtml(String(value))}</code>`).join(" ");
  if ("const" in schema) return `<code>${escapeHtml(String(schema.const))}</code>`;
  if (schema.type === "array") return `list of ${typeOf(recordOf(schema.items))}`;
  const options = listOf(schema.anyOf ?? schema.oneOf);
  if (options.length > 0)
    return options.every((option) => option.type === "object")
      ? "one of several shapes"
      : options.map(typeOf).join(" or ");
  const [composed] = listOf(schema.allOf);
  if (composed !== undefined) return typeOf(composed);
  return escapeHtml([schema.type ?? "any value"].flat().join(" or "));
}

/** Limits in words. */
function wordsOf(schema: Schema): string {
  const limits = [
    schema.description,
    schema.pattern && `matches \`${String(schema.pattern)}\``,
    schema.minimum !== undefined && `at least ${String(schema.minimum)}`,
    schema.maximum !== undefined && `at most ${String(schema.maximum)}`,
    schema.maxLength !== undefined && `at most ${String(schema.maxLength)} characters`,
    schema.maxItems !== undefined && `at most ${String(schema.maxItems)} items`,
    schema.example !== undefined && typeof schema.example !== "object" && `for example \`${String(schema.example)}\``,
  ];
  return limits.filter((limit) => typeof limit === "string").join("; ");
}

const recordOf = (value: unknown): Schema => (typeof value === "object" && value !== null ? (value as Schema) : {});
const listOf = (value: unknown): Schema[] => (Array.isArray(value) ? value.map(recordOf) : []);
