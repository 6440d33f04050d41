/**
 * AWS Signature Version 4 for presigned URLs and POST policies: making and verifying them with the same code. Only `host`
 * is signed, so `Range` and `If-Match` are free to add; the method is part of it, so a link made for GET serves no HEAD.
 */
const ALGORITHM = "AWS4-HMAC-SHA256";
const REGION = "default";
const encoder = new TextEncoder();

export interface Credentials {
  accessKey: string;
  secretKey: string;
}

/** Why a signed request was turned away; the code is S3's. */
export type Refusal =
  | "AccessDenied"
  | "SignatureDoesNotMatch"
  | "InvalidArgument"
  | "AuthorizationQueryParametersError";

/**
 * A presigned URL for one method on one resource.
 *
 * @param at Milliseconds since the epoch from which the life counts.
 */
export async function presign(
  credentials: Credentials,
  method: string,
  resource: string,
  query: Record<string, string>,
  at: number,
  ttlSeconds: number,
): Promise<string> {
  const url = new URL(resource);
  for (const [name, value] of Object.entries({ ...query, ...signingQuery(credentials, at, ttlSeconds) })) {
    url.searchParams.set(name, value);
  }
  url.search = canonicalQuery(url.searchParams);
  const signature = await signRequest(credentials, method, url, amzDate(at));
  return `${url.origin}${url.pathname}?${canonicalQuery(url.searchParams)}&X-Amz-Signature=${signature}`;
}

function signingQuery(credentials: Credentials, at: number, ttlSeconds: number): Record<string, string> {
  return {
    "X-Amz-Algorithm": ALGORITHM,
    "X-Amz-Credential": `${credentials.accessKey}/${scope(amzDate(at))}`,
    "X-Amz-Date": amzDate(at),
    "X-Amz-Expires": String(ttlSeconds),
    "X-Amz-SignedHeaders": "host",
  };
}

/** Checks a request's query signature at time `now`; `undefined` = it is good. */
export async function verifyPresigned(
  credentials: Credentials,
  method: string,
  url: URL,
  headers: Headers,
  now: number,
): Promise<Refusal | undefined> {
  const query = url.searchParams;
  const signature = query.get("X-Amz-Signature");
  if (signature === null) return "AccessDenied";
  if (headers.has("authorization")) return "InvalidArgument";
  const signedAt = parseAmzDate(query.get("X-Amz-Date") ?? "");
  const lifeSeconds = Number(query.get("X-Amz-Expires") ?? Number.NaN);
  if (signedAt === undefined || !Number.isInteger(lifeSeconds)) return "AuthorizationQueryParametersError";
  const unsigned = new URL(url);
  unsigned.searchParams.delete("X-Amz-Signature");
  const expected = await signRequest(credentials, method, unsigned, amzDate(signedAt));
  if (!sameText(signature, expected)) return "SignatureDoesNotMatch";
  return now > signedAt + lifeSeconds * 1000 ? "AccessDenied" : undefined;
}

/** The signature of a POST policy (its base64 text). */
export async function signPolicy(credentials: Credentials, policy: string, date: string): Promise<string> {
  return hex(await hmac(await signingKey(credentials, date), policy));
}

/** The fields every signed POST form has beside `key` and `policy`. */
export function policyFields(credentials: Credentials, at: number): Record<string, string> {
  return {
    "x-amz-algorithm": ALGORITHM,
    "x-amz-credential": `${credentials.accessKey}/${scope(amzDate(at))}`,
    "x-amz-date": amzDate(at),
  };
}

/** Whether two secrets are equal, in time that depends on their length only. */
export function sameText(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < left.length; index++) {
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index % Math.max(1, right.length));
  }
  return difference === 0;
}

async function signRequest(credentials: Credentials, method: string, url: URL, date: string): Promise<string> {
  const canonical = [
    method,
    canonicalPath(url.pathname),
    canonicalQuery(url.searchParams),
    `host:${url.host}\n`,
    "host",
    "UNSIGNED-PAYLOAD",
  ].join("\n");
  const digest = hex(await crypto.subtle.digest("SHA-256", encoder.encode(canonical)));
  const text = [ALGORITHM, date, scope(date), digest].join("\n");
  return hex(await hmac(await signingKey(credentials, date), text));
}

function canonicalPath(pathname: string): string {
  return pathname
    .split("/")
    .map((segment) => awsEncode(decodeSegment(segment)))
    .join("/");
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .map(([name, value]) => `${awsEncode(name)}=${awsEncode(value)}`)
    .sort()
    .join("&");
}

/** Percent-encodes everything but the unreserved characters, as AWS asks. */
export function awsEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

async function signingKey(credentials: Credentials, date: string): Promise<ArrayBuffer> {
  const [first = "", ...rest] = scope(date).split("/");
  let key = await hmac(encoder.encode(`AWS4${credentials.secretKey}`), first);
  for (const part of rest) key = await hmac(key, part);
  return key;
}

function scope(date: string): string {
  return `${date.slice(0, 8)}/${REGION}/s3/aws4_request`;
}

async function hmac(key: ArrayBuffer | Uint8Array, text: string): Promise<ArrayBuffer> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return await crypto.subtle.sign("HMAC", imported, encoder.encode(text));
}

function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `20261122T130627Z` */
function amzDate(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
}

function parseAmzDate(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second] = parts;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at) ? undefined : at;
}
