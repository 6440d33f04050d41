/**
 * Goes through a connection's objects, one page at a time: counts what is there and removes what is older than the lifetime
 * rule. The listing is the truth and a page goes on after the last key of the one before, so a pass that was cut off is
 * simply done again.
 */
import { pageCounted } from "../../shared/domain/usage.ts";
import type { House } from "./house.ts";
import { keysInUse, objectRules, saveUsage, usage } from "./objects.ts";

/** R2's own most, for a listing and for a removal: one of each is what one pass costs. */
const PAGE = 1_000;
const NEXT_PAGE_MS = 1_000;
const EVERY_MS = 6 * 3_600_000;
const BROKEN_AGAIN_MS = 600_000;
const DAY_MS = 24 * 3_600_000;

/** The room is counted soon after a connection was made: objects of an earlier one with its name may be there. */
export const firstCensus = (house: House): void => house.due("objects", "", house.now() + 60_000, true);

/** What there is to do, once it has its next time in case that nothing comes of it. Call inside `house.change`. */
export function beginCensus(house: House): () => Promise<void> {
  house.due("objects", "", house.now() + BROKEN_AGAIN_MS);
  return () => census(house);
}

export async function census(house: House): Promise<void> {
  try {
    await onePage(house);
  } catch (error) {
    house.log({ event: "objects.not_counted", error });
  }
}

async function onePage(house: House): Promise<void> {
  const { OBJECTS } = house.env;
  const startedAt = house.now();
  const prefix = `${house.name}/`;
  const after = usage(house).count?.after;
  const listed = await OBJECTS.list({ prefix, limit: PAGE, ...(after !== undefined && { startAfter: after }) });

  const { expireAfterDays } = objectRules(house);
  const inUse = keysInUse(house);
  const isExpired = ({ key, uploaded }: R2Object): boolean =>
    expireAfterDays !== undefined &&
    uploaded.getTime() <= startedAt - expireAfterDays * DAY_MS &&
    !inUse.has(key.slice(prefix.length));
  const expired = listed.objects.filter(isExpired).map(({ key }) => key);
  if (expired.length > 0) {
    const removal = OBJECTS.delete(expired);
    house.clearing = removal.catch(() => {});
    await removal;
    house.log({ event: "objects.expired", objects: expired.length, expireAfterDays });
  }
  const kept = listed.objects.filter((object) => !isExpired(object));
  const seen = { objects: kept.length, bytes: kept.reduce((bytes, { size }) => bytes + size, 0) };
  house.change(() => {
    const last = listed.truncated ? listed.objects.at(-1)?.key : undefined;
    const page = { seen, expired: expired.length, ...(last !== undefined && { after: last }) };
    saveUsage(house, pageCounted(usage(house), page, startedAt));
    house.run("DELETE FROM reservations WHERE until <= ?", house.now());
    house.due("objects", "", house.now() + (last !== undefined ? NEXT_PAGE_MS : EVERY_MS));
  });
}
