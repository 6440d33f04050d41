/** A presigned link of a site's object store: when it ends, and whether the object is there. */
import type { ClientDeps, Firecrest } from "./port.ts";

/** When the signature ends, milliseconds; undefined where the link does not say (S3 v4 and v2, Swift temporary URLs). */
export function linkExpiry(url: string): number | undefined {
  const query = queryOf(url);
  const signedAt = linkSignedAt(url);
  const life = Number(query.get("x-amz-expires") ?? Number.NaN);
  if (signedAt !== undefined && Number.isFinite(life)) return signedAt + life * 1_000;
  const end = query.get("expires") ?? query.get("temp_url_expires");
  if (end === undefined) return undefined;
  const ms = /^\d+$/.test(end) ? Number(end) * 1_000 : Date.parse(end);
  return Number.isFinite(ms) ? ms : undefined;
}

/** When the link was signed, milliseconds (S3 v4 only). */
export function linkSignedAt(url: string): number | undefined {
  return signedOn(queryOf(url).get("x-amz-date") ?? "");
}

/** The time that S3 v4 writes as `20260105T090000Z`, milliseconds. */
export function signedOn(date: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (!match) return undefined;
  const [year = 0, month = 1, day, hours, minutes, seconds] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hours, minutes, seconds);
}

function queryOf(url: string): Map<string, string> {
  if (!URL.canParse(url)) return new Map();
  return new Map([...new URL(url).searchParams].map(([key, value]) => [key.toLowerCase(), value]));
}

/**
 * Reads one byte. Only 403, 404 and 410 from the store itself mean that the link is dead; a time-out, a 5xx or anything
 * unexpected proves nothing. HEAD will not do: a link that is signed for GET refuses it.
 */
export async function probeLink(
  deps: Pick<ClientDeps, "fetchStaged">,
  url: string,
): Promise<Awaited<ReturnType<Firecrest["probe"]>>> {
  let response: Response;
  try {
    response = await deps.fetchStaged(url, { method: "GET", headers: { range: "bytes=0-0" }, redirect: "manual" });
  } catch {
    return { outcome: "unsure" };
  }
  const { status, headers } = response;
  await response.body?.cancel().catch(() => undefined);
  const etag = headers.get("etag") ?? undefined;
  const totalBytes = totalSize(status, headers);
  if (totalBytes !== undefined) return { outcome: "live", totalBytes, ...(etag === undefined ? {} : { etag }) };
  return { outcome: status === 403 || status === 404 || status === 410 ? "dead" : "unsure", status };
}

/** Whole size of the object: 206 and 416 (of an empty one) tell it in `Content-Range`; 200 is a store without ranges. */
function totalSize(status: number, headers: Headers): number | undefined {
  if (status === 200) return wholeNumber(headers.get("content-length"));
  if (status !== 206 && status !== 416) return undefined;
  const total = wholeNumber(/\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1]);
  return status === 416 && total !== 0 ? undefined : total;
}

const wholeNumber = (text: string | null | undefined): number | undefined =>
  text != null && /^\d+$/.test(text) ? Number(text) : undefined;
