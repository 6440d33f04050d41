/** Reading many jobs in few requests: one list, and single looks for those that a list cannot settle. */
import { FirecrestError } from "../errors.ts";
import { parseRowId } from "../row-id.ts";
import type { Calls } from "./call.ts";
import type { JobRow } from "./job-row.ts";
import { OPERATIONS } from "./operations.ts";
import { mapAtMost } from "./pool.ts";

const HOUR_MS = 3_600_000;
const WINDOWS = [
  ["1h", HOUR_MS],
  ["8h", 8 * HOUR_MS],
  ["24h", 24 * HOUR_MS],
  ["3d", 72 * HOUR_MS],
  ["7d", 168 * HOUR_MS],
] as const;
/** Between our clock and the site's, and for the time that a list takes. */
const WINDOW_MARGIN_MS = 10 * 60_000;
/** Single looks at once: sshd allows a user ten sessions, and others need some. */
const LOOKS_AT_ONCE = 3;

export type TimeWindow = (typeof WINDOWS)[number][0];

/** Older rows of accounting are in no list; the widest window is the best there is for them. */
export const WIDEST_WINDOW_MS = 168 * HOUR_MS - WINDOW_MARGIN_MS;

/** The smallest window that holds everything of this age. It bounds ended jobs only; live ones are always listed. */
export function timeWindow(ageMs: number): TimeWindow {
  return WINDOWS.find(([, ms]) => ageMs + WINDOW_MARGIN_MS <= ms)?.[0] ?? "7d";
}

/** J2 rows by the id of the whole job. */
export async function listJobs(
  calls: Calls,
  system: string,
  query: { window: TimeWindow; name?: string },
): Promise<Map<string, JobRow[]>> {
  const rows = await calls.call(OPERATIONS.J2_list, {
    system,
    query: { time_window: query.window, name: query.name },
  });
  return byWholeJob(rows);
}

export function byWholeJob(rows: readonly JobRow[]): Map<string, JobRow[]> {
  const jobs = new Map<string, JobRow[]>();
  for (const row of rows) {
    const { base } = parseRowId(row.id);
    const known = jobs.get(base);
    if (known === undefined) jobs.set(base, [row]);
    else known.push(row);
  }
  return jobs;
}

export type Look = { rows: JobRow[] } | { absent: true } | { error: FirecrestError };

/**
 * J3 for each id. An error that concerns the site rather than the one job ends the looking: ids without a result were
 * not read.
 */
export async function lookAt(calls: Calls, system: string, ids: readonly string[]): Promise<Map<string, Look>> {
  const looks = new Map<string, Look>();
  let stopped = false;
  await mapAtMost(LOOKS_AT_ONCE, ids, async (id) => {
    if (stopped) return;
    const look = await lookAtOne(calls, system, id);
    looks.set(id, look);
    if ("error" in look && !concernsOneJob(look.error)) stopped = true;
  });
  return looks;
}

/** An id that the scheduler does not take says nothing about the site. */
export const concernsOneJob = ({ code }: FirecrestError): boolean =>
  code === "scheduler_refused" || code === "invalid_request";

async function lookAtOne(calls: Calls, system: string, id: string): Promise<Look> {
  const { base } = parseRowId(id);
  try {
    const rows = await calls.call(OPERATIONS.J3_get, { system, id: base });
    const own = byWholeJob(rows).get(base) ?? [];
    return own.length === 0 ? { absent: true } : { rows: own };
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    return error.code === "not_found" ? { absent: true } : { error };
  }
}
