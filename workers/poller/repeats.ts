/**
 * Idempotency keys. What the Tracker does by itself is one transaction with its answer (`replay`, `remember`). An act at the site
 * cannot be: its key is taken before the act leaves and keeps what became of it (`takeKey`, `settleKey`).
 */
import type { Answer, Idempotency, Refusal } from "../../shared/contract/rpc.ts";
import type { Actor } from "./access.ts";
import type { House } from "./house.ts";

/** Longer than any act at the site takes. */
const IN_FLIGHT_MS = 5 * 60_000;
/** Stands in the place of the answer until there is one. */
const NO_ANSWER = "";

interface Row {
  answer: string;
  at: number;
}

/** What an earlier request with this key left, or a refusal when its body was another one. */
function earlier(house: House, actor: string, idempotency: Idempotency): { ok: true; row?: Row } | Refusal {
  const row = house.row<Row & { body_sha256: string }>(
    "SELECT body_sha256, answer, at FROM requests WHERE actor = ? AND route = ? AND key = ?",
    actor,
    idempotency.route,
    idempotency.key,
  );
  if (row === undefined) return { ok: true };
  if (row.body_sha256 === idempotency.bodySha256) return { ok: true, row };
  return {
    ok: false,
    code: "idempotency_mismatch",
    detail: "This Idempotency-Key was used with another body. Use a new key for a new request.",
  };
}

/** The stored answer of an earlier request with this key, or a refusal when its body was another one. */
export function replay<T>(
  house: House,
  actor: Actor,
  idempotency: Idempotency | undefined,
): { ok: true; value: T } | Refusal | undefined {
  if (idempotency === undefined) return undefined;
  const before = earlier(house, actor.name, idempotency);
  if (!before.ok) return before;
  return before.row === undefined ? undefined : { ok: true, value: JSON.parse(before.row.answer) as T };
}

/** Call inside the transaction that makes the answer true. */
export function remember(house: House, actor: Actor, idempotency: Idempotency | undefined, answer: unknown): void {
  if (idempotency !== undefined) insert(house, actor.name, idempotency, JSON.stringify(answer));
}

function insert(house: House, actor: string, { route, key, bodySha256 }: Idempotency, answer: string): void {
  house.run(
    "INSERT INTO requests (actor, route, key, body_sha256, answer, at) VALUES (?, ?, ?, ?, ?, ?)",
    actor,
    route,
    key,
    bodySha256,
    answer,
    house.now(),
  );
}

const notKnown = (why: string): Refusal => ({
  ok: false,
  code: "conflict",
  detail: `The first request with this key ended without an answer of the site (${why}), so nobody knows whether it happened. Look there; a new key does it again.`,
});

/** Takes a key for an act at the site. `kept`: what became of an earlier request with it, which is this one's answer, too. */
export function takeKey(house: House, actor: string, idempotency: Idempotency): Answer<{ kept?: Answer<unknown> }> {
  return house.change((): Answer<{ kept?: Answer<unknown> }> => {
    const before = earlier(house, actor, idempotency);
    if (!before.ok) return before;
    const { row } = before;
    if (row === undefined) {
      insert(house, actor, idempotency, NO_ANSWER);
      return { ok: true, value: {} };
    }
    if (row.answer !== NO_ANSWER) return { ok: true, value: { kept: JSON.parse(row.answer) as Answer<unknown> } };
    if (house.now() - row.at >= IN_FLIGHT_MS) return notKnown("we were interrupted");
    return { ok: false, code: "in_flight", detail: "Ask again in a moment.", retryAfterSeconds: 2 };
  });
}

/**
 * What became of an act whose key was taken: an answer is kept, and so is that nobody knows; what certainly did not happen gives
 * the key back. Call inside `house.change`.
 */
export function settleKey(house: House, actor: string, { route, key }: Idempotency, answer: Answer<unknown>): void {
  const where = "actor = ? AND route = ? AND key = ? AND answer = ?";
  if (!answer.ok && answer.uncertain !== true) {
    house.run(`DELETE FROM requests WHERE ${where}`, actor, route, key, NO_ANSWER);
    return;
  }
  const kept = answer.ok ? answer : notKnown(answer.detail ?? answer.code);
  house.run(`UPDATE requests SET answer = ? WHERE ${where}`, JSON.stringify(kept), actor, route, key, NO_ANSWER);
}
