/**
 * Every sender that signs with an HMAC, told apart by a few words of configuration. GitHub, Slack, Stripe and the rest are
 * entries of one table (`index.ts`), not code of their own.
 */
import { concat, fromBase64, fromHex, type HmacHash, hmac, sameSecret, utf8 } from "../../bytes.ts";
import { readTimestamp, refused, type Verdict } from "../verdict.ts";
import { areUsable, type InboundMessage, type Verifier } from "./verifier.ts";

export interface HmacScheme {
  /** The header that carries the signature. */
  header: string;
  /** What stands before the signature in it (`sha256=`); a list behind it is separated by commas. */
  prefix?: string | undefined;
  /** For headers like `t=1,v1=…,v1=…`: the names of the signed time and of the signatures. */
  pairs?: { timestamp: string; signature: string } | undefined;
  /** Default `hex`. */
  encoding?: "hex" | "base64" | undefined;
  /** Default `sha256`. */
  hash?: HmacHash | undefined;
  /** What is signed: text with `{body}` once, and `{timestamp}` where the sender signs a time. Default `{body}`. */
  content?: string | undefined;
  timestampHeader?: string | undefined;
  /** Carries the sender's id of the message. It is not signed: good against repeats, no proof. */
  idHeader?: string | undefined;
  /** For senders that put the id into the body, which is signed. */
  idInBody?: ((body: string) => string | undefined) | undefined;
}

const DIGEST_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const satisfies Record<HmacHash, number>;
const MAX_SIGNATURES = 16;
const MAX_ID_CHARACTERS = 255;

/** Refuses everything while the scheme is incomplete or contradicts itself. */
export function hmacVerifier(scheme: HmacScheme): Verifier {
  const template = readTemplate(scheme);
  return async (message) => {
    if (typeof template === "string" || !areUsable(message.secrets)) return refused("not_configured");
    const given = readHeader(scheme, message.headers);
    if (!given.ok) return given;
    const time = template.signsTime ? readTimestamp(given.timestamp, message.nowSeconds) : undefined;
    if (time?.ok === false) return time;

    const seconds = time === undefined ? "" : String(time.seconds);
    const content = concat([utf8(template.before(seconds)), message.rawBody, utf8(template.after(seconds))]);
    if (!(await anyMatches(scheme.hash ?? "sha256", message.secrets, content, given.digests)))
      return refused("bad_signature");
    return accepted(scheme, message, time?.seconds);
  };
}

interface Template {
  signsTime: boolean;
  before(timestamp: string): string;
  after(timestamp: string): string;
}

/** The template, or in words why the scheme cannot mean what it says. */
function readTemplate(scheme: HmacScheme): Template | string {
  const names = [scheme.header, scheme.timestampHeader, scheme.idHeader].filter((name) => name !== undefined);
  if (!names.every(isHeaderName)) return "names a header that cannot exist";
  const parts = (scheme.content ?? "{body}").split("{body}");
  const [before, after] = parts;
  if (parts.length !== 2 || before === undefined || after === undefined) return "content must hold {body} exactly once";
  const around = before + after;
  if (/[{}]/.test(around.replaceAll("{timestamp}", "")))
    return "content may hold {body} and {timestamp} and no other braces";
  const signsTime = around.includes("{timestamp}");
  const hasTime = scheme.timestampHeader !== undefined || scheme.pairs !== undefined;
  if (signsTime && !hasTime) return "content holds {timestamp}: name the timestampHeader it comes from";
  // A time that is not signed can be set by anybody: believing it would only look like protection.
  if (hasTime && !signsTime) return "a timestampHeader is only of use with {timestamp} in content";
  return {
    signsTime,
    before: (timestamp) => before.replaceAll("{timestamp}", timestamp),
    after: (timestamp) => after.replaceAll("{timestamp}", timestamp),
  };
}

/** What is wrong with a scheme, for the one who saves it; undefined if nothing is. */
export function schemeProblem(scheme: HmacScheme): string | undefined {
  const template = readTemplate(scheme);
  return typeof template === "string" ? template : undefined;
}

const isHeaderName = (name: string): boolean => /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name);

type Given = { ok: true; digests: Uint8Array[]; timestamp: string | null } | Extract<Verdict, { ok: false }>;

function readHeader(scheme: HmacScheme, headers: Headers): Given {
  const value = headers.get(scheme.header);
  if (!value) return refused("missing_signature");
  const timestampHeader = scheme.timestampHeader === undefined ? null : headers.get(scheme.timestampHeader);
  const found = scheme.pairs === undefined ? readList(value, scheme.prefix ?? "") : readPairs(value, scheme.pairs);
  if (!found.ok) return found;
  const bytes = DIGEST_BYTES[scheme.hash ?? "sha256"];
  const decode = scheme.encoding === "base64" ? fromBase64 : fromHex;
  const digests = found.signatures
    .slice(0, MAX_SIGNATURES)
    .map((text) => decode(text.trim()))
    .filter((digest): digest is Uint8Array => digest?.length === bytes);
  if (digests.length === 0) return refused("malformed_signature");
  return { ok: true, digests, timestamp: found.timestamp ?? timestampHeader };
}

type Found = { ok: true; signatures: string[]; timestamp?: string } | Extract<Verdict, { ok: false }>;

function readList(value: string, prefix: string): Found {
  if (value.startsWith(prefix)) return { ok: true, signatures: value.slice(prefix.length).split(",") };
  // `v1=…` where `v0=…` is expected is another version of the scheme; a bare digest is just wrong.
  return refused(/^[A-Za-z0-9_-]{1,16}=./.test(value) ? "unknown_version" : "malformed_signature");
}

function readPairs(value: string, names: { timestamp: string; signature: string }): Found {
  const pairs = value.split(",").map((pair) => pair.trim().split("=", 2));
  const valuesOf = (wanted: string): string[] =>
    pairs.flatMap(([name, text]) => (name === wanted && text !== undefined ? [text] : []));
  const [timestamp, ...others] = valuesOf(names.timestamp);
  if (others.length > 0) return refused("malformed_timestamp");
  const signatures = valuesOf(names.signature);
  if (signatures.length === 0)
    return refused(pairs.some(([name]) => /^v\d+$/.test(name ?? "")) ? "unknown_version" : "malformed_signature");
  return { ok: true, signatures, ...(timestamp !== undefined && { timestamp }) };
}

/** Every pair is compared, so the time tells nothing about which one matched. */
async function anyMatches(
  hash: HmacHash,
  secrets: readonly string[],
  content: Uint8Array,
  digests: readonly Uint8Array[],
): Promise<boolean> {
  const expected = await Promise.all(secrets.map((secret) => hmac(hash, utf8(secret), content)));
  const matches = await Promise.all(expected.flatMap((ours) => digests.map((theirs) => sameSecret(ours, theirs))));
  return matches.includes(true);
}

function accepted(scheme: HmacScheme, message: InboundMessage, timestampSeconds: number | undefined): Verdict {
  const fromHeader = scheme.idHeader === undefined ? undefined : (message.headers.get(scheme.idHeader) ?? undefined);
  const messageId = fromHeader ?? scheme.idInBody?.(new TextDecoder().decode(message.rawBody));
  return {
    ok: true,
    ...(messageId && messageId.length <= MAX_ID_CHARACTERS && { messageId }),
    ...(timestampSeconds !== undefined && { timestampSeconds }),
  };
}
