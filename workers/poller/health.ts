/** Whether the site answers. Announced once when it stops, and once when it is back. */

import { rfc3339 } from "../../shared/clock.ts";
import type { ConnectionHealth } from "../../shared/contract/connection.ts";
import type { z } from "../../shared/contract/words.ts";
import type { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { House } from "./house.ts";
import { announce } from "./ledger.ts";
import { diagnose } from "./site.ts";

interface Health {
  state: "unknown" | "healthy" | "unhealthy";
  since?: number;
  detail?: string;
  failures: number;
  firstFailureAt?: number;
}

/** A site is unhealthy after this many failed looks in a row, */
const FAILURES = 3;
/** over at least this long. */
const FAILING_MS = 30_000;

const ABOUT_THE_SITE = new Set<FirecrestError["code"]>([
  "network",
  "gateway",
  "token_refused",
  "token_unavailable",
  "unauthorized",
  "system_unavailable",
  "unreadable_answer",
  "site_error",
]);

export function health(house: House): Health {
  const text = house.meta("health");
  return text === undefined ? { state: "unknown", failures: 0 } : (JSON.parse(text) as Health);
}

export function viewHealth(house: House): z.infer<typeof ConnectionHealth> {
  const { state, since, detail } = health(house);
  return {
    state,
    ...(since === undefined ? {} : { since: rfc3339(since) }),
    ...(detail === undefined ? {} : { detail }),
  };
}

/** Writes only when something changes: a healthy round writes nothing. */
export function siteAnswered(house: House): void {
  const before = health(house);
  if (before.state === "healthy" && before.failures === 0) return;
  house.change(() => {
    house.setMeta(
      "health",
      JSON.stringify({ state: "healthy", since: before.state === "healthy" ? before.since : house.now(), failures: 0 }),
    );
    if (before.state === "unhealthy") say(house, "connection.recovered", "answers again");
  });
}

/** `atOnce`: a person is looking; do not wait for a third failure. */
export function siteFailed(house: House, error: FirecrestError, { atOnce = false } = {}): void {
  if (!ABOUT_THE_SITE.has(error.code)) return;
  const before = health(house);
  const now = house.now();
  const failures = before.failures + 1;
  const firstFailureAt = before.firstFailureAt ?? now;
  const down = atOnce || before.state === "unhealthy" || (failures >= FAILURES && now - firstFailureAt >= FAILING_MS);
  const detail = diagnose(error);
  if (before.state === "unhealthy" && before.detail === detail) return;
  house.change(() => {
    const since = down && before.state !== "unhealthy" ? now : before.since;
    house.setMeta(
      "health",
      JSON.stringify({
        state: down ? "unhealthy" : before.state,
        failures,
        firstFailureAt,
        ...(since === undefined ? {} : { since }),
        ...(down ? { detail } : {}),
      }),
    );
    if (down && before.state !== "unhealthy") say(house, "connection.unhealthy", error.code, detail);
  });
}

function say(
  house: House,
  type: "connection.unhealthy" | "connection.recovered",
  reason: string,
  detail?: string,
): void {
  announce(house, {
    type,
    subject: "connection",
    data: { connection: house.name, reason, ...(detail === undefined ? {} : { detail }) },
  });
}
