/**
 * One unit of work writes one wide JSON line. Whatever a line carries goes through `redact` first: keys that name a secret
 * lose their value, and texts lose everything that looks like one, wherever it stands.
 */
import { type Now, rfc3339 } from "./clock.ts";

/** `event` names the unit of work (`callback.attempted`); the rest are its facts: ids, outcome, durations in ms. */
export type Log = (line: { event: string } & Record<string, unknown>) => void;

/** Where finished lines go. */
export type Sink = (line: string) => void;

/** The only place that writes to the console. */
export const consoleSink: Sink = (line) => {
  // biome-ignore lint/suspicious/noConsole: this is where log lines leave the Worker
  console.log(line);
};

/** `fixed` stands on every line: the Worker's name, the connection. */
export function createLog(deps: { now: Now; sink: Sink; fixed?: Record<string, unknown> }): Log {
  return (line) => {
    const facts = redact({ ...deps.fixed, ...line });
    deps.sink(JSON.stringify({ at: rfc3339(deps.now()), ...(facts as Record<string, unknown>) }));
  };
}

const MASK = "[redacted]";
const MAX_DEPTH = 8;
const MAX_ENTRIES = 200;
const MAX_CHARACTERS = 2048;
/** Longer texts are cut before they are searched, so that a log line costs little at any input. */
const MAX_SEARCHED = 65_536;

/** Names, compared without case, `-` and `_`, that end like this hold secrets. Numbers and booleans under them are kept. */
const SECRET_NAME =
  /(secrets?|password|passwd|passphrase|authorization|cookie|apikey|privatekey|signingkey|sealkeys?|signature|credentials?|(^|[a-z])token|presignedurl|stagedurl|responseurl)$/;

/** A copy that is safe to write down: secrets masked, long texts and deep trees cut, errors and odd values made plain. */
export function redact(value: unknown): unknown {
  return redactTree(value, 0, new Set());
}

function redactTree(value: unknown, depth: number, above: ReadonlySet<object>): unknown {
  if (typeof value === "string") return shorten(redactText(value));
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "function" || typeof value === "symbol") return `[${typeof value}]`;
  if (typeof value !== "object" || value === null) return value;
  if (above.has(value)) return "[circular]";
  if (depth >= MAX_DEPTH) return "[deeper]";
  const within = new Set(above).add(value);
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => redactTree(item, depth + 1, within));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  const entries = entriesOf(value).slice(0, MAX_ENTRIES);
  return Object.fromEntries(
    entries.map(([name, item]) => [name, namesSecret(name) ? masked(item) : redactTree(item, depth + 1, within)]),
  );
}

function entriesOf(value: object): [string, unknown][] {
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return [
      ...Object.entries({ name, message, stack, cause }).filter(([, item]) => item !== undefined),
      ...Object.entries(value),
    ];
  }
  if (value instanceof Map) return [...value].map(([key, item]) => [String(key), item]);
  if (value instanceof Set) return [...value].map((item, i) => [String(i), item]);
  if (value instanceof Headers) return [...value];
  if (value instanceof URL) return [["href", value.href]];
  return Object.entries(value);
}

const namesSecret = (name: string): boolean => SECRET_NAME.test(name.toLowerCase().replace(/[-_]/g, ""));

const masked = (value: unknown): unknown =>
  typeof value === "boolean" || typeof value === "number" || value === null || value === undefined ? value : MASK;

/** What secrets look like, and what is left of them. Each pattern is linear in the text. */
const SECRET_LOOKS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, MASK],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+/gi, `$1 ${MASK}`],
  // JWT and JWE, whole or cut off.
  [/\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){0,4}/g, MASK],
  [/\bwh(sec|sk)_[A-Za-z0-9+/_-]+=*/g, MASK],
  [/\bfw_[a-z0-9-]+_[A-Za-z0-9]+/g, MASK],
  [/\bx(ox[a-z]|app)-[A-Za-z0-9-]+/g, MASK],
  [/\b(gh[a-z]_|github_pat_|glpat-|glptt-)[A-Za-z0-9_-]+/g, MASK],
  // User info and the parameters that make a link worth stealing.
  [/(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#@"'<>]{1,256}@/gi, `$1${MASK}@`],
  [
    /([?&](?:amp;)?(?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid|googleaccessid|temp_url_sig|policy|token|access_token|id_token|refresh_token|code|key|api_?key|secret|client_secret|password)=)[^&\s"'<>#]+/gi,
    `$1${MASK}`,
  ],
  // Chat addresses that let anybody post, and our own share links.
  [/(\/\/hooks\.slack\.com\/)[^\s"'<>]+/gi, `$1${MASK}`],
  [/(\/links\/)[A-Za-z0-9_.~-]+/g, `$1${MASK}`],
  // The same names in JSON, forms and header dumps.
  [
    /(["']?\b(?:auth-token|authorization|client_secret|access_token|refresh_token|id_token|password|set-cookie|x-gitlab-token)["']?\s*[:=]\s*["']?)(?!\[redacted\]|bearer|basic)[^\s"'&,;}]+/gi,
    `$1${MASK}`,
  ],
];

/** A text without anything that looks like a secret, nor any of `known` (the secrets that were used in this exchange). */
export function redactText(text: string, known: readonly string[] = []): string {
  const cut = text.slice(0, MAX_SEARCHED);
  const unknown = known
    .filter((secret) => secret.length >= 4)
    .reduce((rest, secret) => rest.replaceAll(secret, MASK), cut);
  return SECRET_LOOKS.reduce((rest, [look, left]) => rest.replace(look, left), unknown);
}

function shorten(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text.toWellFormed();
  return `${text.slice(0, MAX_CHARACTERS).toWellFormed()}… (${text.length} characters)`;
}
