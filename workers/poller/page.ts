/** Pages of lists, whose items are known and sorted by their ids. */
import type { Page } from "../../shared/contract/rpc.ts";

/** A page stops here, whatever its items hold: it has to get through a call between Workers. */
const PAGE_MAX_CHARACTERS = 4_000_000;

/** One page of these rows, of which there are more where they are as many as was asked for, or where not all of them fit. */
export function pageOf<Row, Item extends { id: string }>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => Item,
): Page<Item> {
  const items: Item[] = [];
  let characters = 0;
  for (const row of rows) {
    const item = view(row);
    characters += JSON.stringify(item).length;
    if (characters > PAGE_MAX_CHARACTERS && items.length > 0) break;
    items.push(item);
  }
  const last = items.at(-1);
  const isWhole = items.length === rows.length && rows.length < limit;
  return isWhole || last === undefined ? { items } : { items, cursor: last.id };
}
