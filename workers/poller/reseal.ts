/**
 * After a new key came first in SEAL_KEYS: everything that an older key sealed is sealed again, so that the older one may go. A
 * sealed value says itself what it is bound to, so the places where one may stand are all that has to be known here.
 */
import type { Origin } from "../../shared/contract/rpc.ts";
import { type Seal, SealError } from "../../shared/seal.ts";
import type { Desk } from "./accept.ts";
import { audit } from "./access.ts";

/** A column that holds sealed values, alone or in a text. */
export interface Place {
  table: string;
  column: string;
  where?: string;
}

/** Of a connection. A new one has its place here; test/tracker/reseal.test.ts finds it. */
const PLACES: readonly Place[] = [
  { table: "meta", column: "value" },
  { table: "hooks", column: "secrets" },
  { table: "receivers", column: "doc" },
  { table: "debts", column: "doc", where: "open = 1" },
  { table: "forms", column: "sealed" },
  { table: "transfers", column: "doc", where: "live = 1" },
  { table: "jobs", column: "doc" },
  // The answer that holds a subscription's secret, for whoever repeats the request.
  { table: "requests", column: "answer", where: "route LIKE '%/subscriptions'" },
];

/** A compact JWE with a direct key, wherever it stands. */
const SEALED = /eyJ[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+/g;

/** Rows of one call: a second of work. */
const MAX_ROWS = 500;

export interface ResealedRows {
  resealed: number;
  unreadable: number;
  /** Whether there is more to do: call again. */
  more: boolean;
}

/** Of a connection also what people hold of it: share links are not here to be sealed again. */
export interface ResealedConnection extends ResealedRows {
  staleLinks: { count: number; until?: number };
}

/** What a Durable Object keeps, as far as this has to know. */
export interface Shelf {
  rows<T>(query: string, ...bindings: SqlStorageValue[]): T[];
  change<T>(write: () => T): T;
}

/** `noted` is called in the transaction that changes something. */
export async function renewAll(
  shelf: Shelf,
  seal: Seal,
  places: readonly Place[],
  noted: () => void = () => {},
): Promise<ResealedRows> {
  const done: ResealedRows = { resealed: 0, unreadable: 0, more: false };
  const isStale = (jwe: string): boolean => {
    try {
      return seal.isStale(jwe);
    } catch (error) {
      if (error instanceof SealError) return false;
      throw error;
    }
  };
  const stale = places.flatMap(({ table, column, where = "TRUE" }) =>
    shelf
      .rows<{ text: string }>(`SELECT ${column} AS text FROM ${table} WHERE instr(${column}, 'eyJ') > 0 AND ${where}`)
      .filter(({ text }) => (text.match(SEALED) ?? []).some(isStale))
      .map(({ text }) => ({ table, column, text })),
  );
  done.more = stale.length > MAX_ROWS;

  const renewed: { table: string; column: string; text: string; fresh: string }[] = [];
  for (const row of stale.slice(0, MAX_ROWS)) {
    let fresh = row.text;
    for (const jwe of (row.text.match(SEALED) ?? []).filter(isStale)) {
      try {
        fresh = fresh.replace(jwe, await seal.renew(jwe));
        done.resealed++;
      } catch (error) {
        if (!(error instanceof SealError)) throw error;
        done.unreadable++;
      }
    }
    renewed.push({ ...row, fresh });
  }
  if (done.resealed === 0) return done;
  shelf.change(() => {
    // By its text: what was changed meanwhile is sealed with the new key already, or is found by the next call.
    for (const { table, column, text, fresh } of renewed)
      if (fresh !== text) shelf.rows(`UPDATE ${table} SET ${column} = ? WHERE ${column} = ?`, fresh, text);
    noted();
  });
  return done;
}

export async function reseal(desk: Desk, origin: Origin): Promise<ResealedConnection> {
  const { house, seal } = desk;
  await forgetStaleToken(desk);
  const rows = await renewAll(house, seal, PLACES, () =>
    audit(house, { name: "admin" }, "connection.reseal", "connection", origin),
  );
  const stale = house.row<{ count: number; until: number | null }>(
    "SELECT count(*) AS count, max(expires_at) AS until FROM links WHERE expires_at > ? AND json_extract(doc, '$.kid') IS NOT ?",
    house.now(),
    seal.current,
  );
  return { ...rows, staleLinks: stale?.until == null ? { count: 0 } : { count: stale.count, until: stale.until } };
}

/** The cached token of the site is fetched anew rather than sealed again. */
async function forgetStaleToken({ house, seal }: Desk): Promise<void> {
  const key = `token/${house.name}`;
  const sealed = await house.env.TOKENS.get(key);
  if (sealed !== null && seal.isStale(sealed)) await house.env.TOKENS.delete(key);
}
