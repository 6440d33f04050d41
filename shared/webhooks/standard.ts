/**
 * Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp` and `webhook-signature` over `id.timestamp.body`. `v1` is
 * HMAC-SHA256 with a shared secret, `v1a` pure Ed25519. A delivery carries one signature for every live key, so receivers go
 * on verifying while a secret is being rotated, and those who prefer public keys need no secret at all.
 */
import { concat, fromBase64, hmac, sameSecret, toBase64, utf8 } from "../bytes.ts";
import type { RandomBytes } from "../clock.ts";
import { type PrivateJwk, type PublicJwk, signEd25519, verifyEd25519 } from "./ed25519.ts";
import { readTimestamp, refused, type Verdict } from "./verdict.ts";

export interface Message {
  /** Stays the same on every attempt. */
  id: string;
  /** Of this attempt, in whole seconds. */
  timestampSeconds: number;
  body: Uint8Array;
}

export interface SigningKeys {
  /** `whsec_…`, newest first. */
  secrets?: readonly string[];
  ed25519?: readonly PrivateJwk[];
}

export interface VerifyingKeys {
  /** `whsec_…`; any one of them suffices. */
  secrets?: readonly string[];
  publicKeys?: readonly PublicJwk[];
}

export interface SignedHeaders {
  "webhook-id": string;
  "webhook-timestamp": string;
  "webhook-signature": string;
}

const SECRET_PREFIX = "whsec_";
const SECRET_BYTES = { new: 32, min: 24, max: 64 } as const;

/** Signatures looked at in one header: more than any rotation needs, few enough to cost nothing. */
const MAX_SIGNATURES = 16;

/**
 * Printable ASCII without white space and without `.`: with a dot inside an id, `a.1` + `b` and `a` + `1.b` would be the same
 * signed content, and one signature would do for two messages.
 */
const MESSAGE_ID = /^[!-\-/-~]{1,255}$/;

export const generateSecret = (random: RandomBytes): string => SECRET_PREFIX + toBase64(random(SECRET_BYTES.new));

/** The key inside `whsec_…`: 24 to 64 bytes. Undefined if it is anything else. */
export function parseSecret(text: string): Uint8Array | undefined {
  const key = text.startsWith(SECRET_PREFIX) ? fromBase64(text.slice(SECRET_PREFIX.length)) : undefined;
  return key !== undefined && key.length >= SECRET_BYTES.min && key.length <= SECRET_BYTES.max ? key : undefined;
}

/** The three headers of one attempt. Throws TypeError for an id or a key that nobody could verify, and for no key at all. */
export async function sign(message: Message, keys: SigningKeys): Promise<SignedHeaders> {
  const { id, timestampSeconds } = message;
  if (!MESSAGE_ID.test(id)) throw new TypeError("a webhook-id is 1 to 255 printable characters without a dot or space");
  if (!Number.isInteger(timestampSeconds) || timestampSeconds < 0)
    throw new TypeError("a webhook-timestamp is in whole seconds");
  const content = signedContent(id, String(timestampSeconds), message.body);
  const signatures = await Promise.all([
    ...(keys.secrets ?? []).map(async (secret) => `v1,${toBase64(await hmac("sha256", keyOf(secret), content))}`),
    ...(keys.ed25519 ?? []).map(async (key) => `v1a,${toBase64(await signEd25519(key, content))}`),
  ]);
  if (signatures.length === 0) throw new TypeError("a delivery needs at least one signing key");
  return { "webhook-id": id, "webhook-timestamp": String(timestampSeconds), "webhook-signature": signatures.join(" ") };
}

/** Strict. `headers` may spell the three names in any case; `svix-*` stands in where a sender uses its own names. */
export async function verify(
  headers: Headers,
  body: Uint8Array,
  keys: VerifyingKeys,
  nowSeconds: number,
): Promise<Verdict> {
  const secrets = (keys.secrets ?? []).map(parseSecret);
  const publicKeys = keys.publicKeys ?? [];
  if (secrets.length + publicKeys.length === 0) return refused("not_configured");
  if (!secrets.every((key) => key !== undefined)) return refused("not_configured");

  const [id, timestamp, signature] = ["id", "timestamp", "signature"].map(
    (name) => headers.get(`webhook-${name}`) ?? headers.get(`svix-${name}`),
  );
  if (!id) return refused("missing_id");
  if (!MESSAGE_ID.test(id)) return refused("malformed_id");
  const time = readTimestamp(timestamp ?? null, nowSeconds);
  if (!time.ok) return time;
  if (!signature) return refused("missing_signature");

  const given = signature.split(" ").slice(0, MAX_SIGNATURES).map(readSignature);
  if (!given.some((entry) => entry.version === "v1" || entry.version === "v1a")) return refused("unknown_version");

  const content = signedContent(id, String(time.seconds), body);
  const expected = await Promise.all(secrets.map((key) => hmac("sha256", key, content)));
  for (const { version, bytes } of given) {
    if (bytes === undefined) continue;
    const matches =
      version === "v1"
        ? await anyOf(expected, (digest) => sameSecret(digest, bytes))
        : version === "v1a" && (await anyOf(publicKeys, (key) => verifyEd25519(key, bytes, content)));
    if (matches) return { ok: true, messageId: id, timestampSeconds: time.seconds };
  }
  return refused(given.some(({ bytes }) => bytes !== undefined) ? "bad_signature" : "malformed_signature");
}

function signedContent(id: string, timestamp: string, body: Uint8Array): Uint8Array {
  return concat([utf8(`${id}.${timestamp}.`), body]);
}

function keyOf(secret: string): Uint8Array {
  const key = parseSecret(secret);
  if (key === undefined) throw new TypeError("a webhook secret is whsec_ and the base64 of 24 to 64 bytes");
  return key;
}

/** `v1,<base64>`: what does not read as that has no bytes and matches nothing. */
function readSignature(entry: string): { version: string; bytes: Uint8Array | undefined } {
  const comma = entry.indexOf(",");
  const bytes = comma < 0 ? undefined : fromBase64(entry.slice(comma + 1));
  return { version: entry.slice(0, Math.max(comma, 0)), bytes: bytes?.length ? bytes : undefined };
}

async function anyOf<T>(items: readonly T[], holds: (item: T) => Promise<boolean>): Promise<boolean> {
  return (await Promise.all(items.map(holds))).includes(true);
}
