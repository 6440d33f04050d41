/**
 * What a connection may store, and how much it does. api and the transfer Worker move the bytes; here is decided whether
 * they may, their room is kept until they have arrived, and what is there is counted.
 */
import { rfc3339 } from "../../shared/clock.ts";
import type { Connection, ObjectRules } from "../../shared/contract/connection.ts";
import type { Answer, ObjectChange, ObjectWrite, Origin } from "../../shared/contract/rpc.ts";
import { type Amount, beyondQuota, changed, stored, UNCOUNTED, type Usage } from "../../shared/domain/usage.ts";
import { type Actor, audit } from "./access.ts";
import type { House } from "./house.ts";
import { isKeyTaken } from "./transfers.ts";

const USAGE = "objects";

export const objectRules = (house: House): ObjectRules =>
  (JSON.parse(house.meta("site") ?? "{}") as { objects?: ObjectRules }).objects ?? {};

export const usage = (house: House): Usage => JSON.parse(house.meta(USAGE) ?? JSON.stringify(UNCOUNTED)) as Usage;

/** Call inside `house.change`. */
export const saveUsage = (house: House, next: Usage): void => house.setMeta(USAGE, JSON.stringify(next));

/** Objects came or went. Call inside `house.change`. */
export const changeUsage = (house: House, change: Amount): void => saveUsage(house, changed(usage(house), change));

/** Bytes on their way: writes that were let in, and transfers whose size is known and that are not stored yet. */
function reservedBytes(house: House, except: string): number {
  const writes = house.row<{ n: number | null }>(
    "SELECT sum(bytes) AS n FROM reservations WHERE until > ? AND id <> ?",
    house.now(),
    except,
  )?.n;
  const transfers = house.row<{ n: number | null }>(
    `SELECT sum(json_extract(doc, '$.size')) AS n FROM transfers
     WHERE live = 1 AND id <> ? AND json_extract(doc, '$.direction') = 'download'`,
    except,
  )?.n;
  return (writes ?? 0) + (transfers ?? 0);
}

/** Why so many more bytes may not be stored. `except`: what they are already reserved as. */
export function quotaRefusal(house: House, bytes: number, except = ""): string | undefined {
  const { quotaBytes } = objectRules(house);
  if (quotaBytes === undefined) return undefined;
  const amounts = { storedBytes: stored(usage(house)).bytes, reservedBytes: reservedBytes(house, except) };
  return beyondQuota(quotaBytes, amounts, bytes);
}

/** Lets a write in. What is being removed by a lifetime rule at this moment is waited for: it must not hit what comes now. */
export async function reserveObject(house: House, { id, key, bytes, keepSeconds }: ObjectWrite): Promise<Answer<null>> {
  await house.clearing;
  return house.change((): Answer<null> => {
    if (isKeyTaken(house, key))
      return {
        ok: false,
        code: "conflict",
        detail: "A transfer to this key is under way. Wait for its end, cancel it, or use another key.",
      };
    const refusal = quotaRefusal(house, bytes, id);
    if (refusal !== undefined) return { ok: false, code: "quota_exceeded", detail: refusal };
    const until = house.now() + keepSeconds * 1000;
    house.run("INSERT OR REPLACE INTO reservations (id, key, bytes, until) VALUES (?, ?, ?, ?)", id, key, bytes, until);
    return { ok: true, value: null };
  });
}

/** A write has ended, well or not. An id that ends with `/` stands for all reservations below it. */
export function objectChanged(house: House, actor: Actor, change: ObjectChange, origin: Origin): Answer<null> {
  return house.change((): Answer<null> => {
    const { id = "", key, objects, bytes } = change;
    if (id.endsWith("/")) house.run("DELETE FROM reservations WHERE substr(id, 1, ?) = ?", id.length, id);
    else house.run("DELETE FROM reservations WHERE id = ?", id);
    if (objects !== 0 || bytes !== 0) changeUsage(house, { objects, bytes });
    if (objects < 0) audit(house, actor, "object.remove", `objects/${key}`, origin);
    return { ok: true, value: null };
  });
}

/** Keys that something is being written to. */
export function keysInUse(house: House): Set<string> {
  const rows = house.rows<{ key: string }>(
    "SELECT key FROM reservations WHERE until > ? UNION SELECT key FROM transfers WHERE live = 1",
    house.now(),
  );
  return new Set(rows.map(({ key }) => key));
}

export function viewObjects(house: House): Connection["objects"] {
  const known = usage(house);
  const { at } = known.counted;
  return {
    ...objectRules(house),
    ...stored(known),
    reservedBytes: reservedBytes(house, ""),
    ...(at !== undefined && { countedAt: rfc3339(at) }),
  };
}
