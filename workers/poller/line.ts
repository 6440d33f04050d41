/**
 * The line of effects on FirecREST that wait for the connection's budget. Whoever is refused joins it; whoever comes while others
 * stand before joins it at once, without a message. As budget comes back, as many are called as it can pay for: a thousand waiting
 * submissions cost no more messages than they cost requests, and the first that came is the first that goes.
 */
import { type EffectKind, isByteEffect, turnOf } from "../../shared/domain/effect.ts";
import type { House } from "./house.ts";

interface Waiting {
  id: string;
  kind: EffectKind;
  subject: string;
}

type Standing = Pick<Waiting, "id" | "kind">;

/** Whether somebody in the line goes before this effect. Effects on bytes cost no budget and never wait. */
export function isBehind(house: House, { id, kind }: Standing): boolean {
  if (isByteEffect(kind)) return false;
  return house.row("SELECT 1 FROM line WHERE (turn, effect) < (?, ?) LIMIT 1", turnOf(kind), id) !== undefined;
}

/** Joins the line, or stays in it; the first looks again at `at`, in ms. Call inside `house.change`. */
export function join(house: House, { id, kind }: Standing, at: number): void {
  if (isByteEffect(kind)) return;
  house.run("INSERT OR IGNORE INTO line (turn, effect) VALUES (?, ?)", turnOf(kind), id);
  house.notDue("effect", id);
  house.due("line", "", at, true);
}

/** Call inside `house.change`. */
export function leave(house: House, { id, kind }: Standing): void {
  if (!isByteEffect(kind)) house.run("DELETE FROM line WHERE turn = ? AND effect = ?", turnOf(kind), id);
}

/** Those who are next, at most so many. Whoever has nothing to do any more is struck off. Call inside `house.change`. */
export function firstInLine(house: House, limit: number): Waiting[] {
  house.run(
    `DELETE FROM line WHERE effect IN (
       SELECT line.effect FROM (SELECT * FROM line ORDER BY turn, effect LIMIT ?) AS line
       LEFT JOIN effects ON effects.id = line.effect WHERE coalesce(effects.state, '') <> 'planned'
     )`,
    limit,
  );
  return house.rows<Waiting>(
    `SELECT effects.id, effects.kind, effects.subject FROM line JOIN effects ON effects.id = line.effect
     ORDER BY line.turn, line.effect LIMIT ?`,
    limit,
  );
}
