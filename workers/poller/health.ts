/** Whether the site and its systems answer. Announced once when the site stops, and once when it is back. */

import { rfc3339 } from "../../shared/clock.ts";
import type { ConnectionHealth } from "../../shared/contract/connection.ts";
import type { z } from "../../shared/contract/words.ts";
import type { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { House } from "./house.ts";
import { announce } from "./ledger.ts";
import { diagnose } from "./site.ts";

/** A system, or the site beside all systems, that has not answered since. */
interface Failing {
  since: number;
  failures: number;
  detail: string;
}

interface Health {
  state: "unknown" | "healthy" | "unhealthy";
  since?: number;
  detail?: string;
  /** By system; what is asked of no system is `SITE`. */
  failing: Record<string, Failing>;
}

/** Tokens, tasks, look-ups: no system's name is empty. */
const SITE = "";
/** What fails is down after this many failed looks in a row, */
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

function health(house: House): Health {
  const text = house.meta("health");
  if (text === undefined) return { state: "unknown", failing: {} };
  const { state, since, detail, failing = {} } = JSON.parse(text) as Partial<Health> & Pick<Health, "state">;
  return { state, failing, ...(since === undefined ? {} : { since }), ...(detail === undefined ? {} : { detail }) };
}

const keep = (house: House, value: Health): void => house.setMeta("health", JSON.stringify(value));

const isDown = ({ failures, since }: Failing, now: number): boolean =>
  failures >= FAILURES && now - since >= FAILING_MS;

/** Systems whose jobs are followed now. */
const followed = (house: House): string[] =>
  house.rows<{ subject: string }>("SELECT subject FROM agenda WHERE kind = 'round'").map(({ subject }) => subject);

/** Since when a system has been failing, and whether it counts as down. Undefined while it answers. */
export function systemFailing(house: House, system: string): { since: number; isDown: boolean } | undefined {
  const failing = health(house).failing[system];
  return failing && { since: failing.since, isDown: isDown(failing, house.now()) };
}

export function viewHealth(house: House): z.infer<typeof ConnectionHealth> {
  const { state, since, detail, failing } = health(house);
  const down = followed(house).flatMap((system) => {
    const own = failing[system];
    return own !== undefined && isDown(own, house.now())
      ? [{ system, since: rfc3339(own.since), detail: own.detail }]
      : [];
  });
  return {
    state,
    ...(since === undefined ? {} : { since: rfc3339(since) }),
    ...(detail === undefined ? {} : { detail }),
    ...(down.length === 0 ? {} : { failing: down }),
  };
}

/**
 * A system answered, or the site without one. `checked`: everything was asked anew, and all of it answered. Writes only when
 * something changes: a healthy round writes nothing.
 */
export function siteAnswered(house: House, { system = SITE, checked = false } = {}): void {
  const before = health(house);
  const { [system]: _system, [SITE]: _site, ...others } = before.failing;
  const failing = checked ? {} : others;
  // That the site can tell tasks says nothing about systems that are all down.
  const isUsable = system !== SITE || !followed(house).some((name) => failing[name] !== undefined);
  const isBack = before.state !== "healthy" && isUsable;
  if (!isBack && Object.keys(failing).length === Object.keys(before.failing).length) return;
  house.change(() => {
    keep(house, isBack ? { state: "healthy", since: house.now(), failing } : { ...before, failing });
    if (isBack && before.state === "unhealthy") say(house, "connection.recovered", "answers again");
  });
}

/**
 * A look failed. The connection is unhealthy when what failed is down and none of the systems that are followed is well: one of
 * several that is down is left alone, and is no news about the others. `atOnce`: a person is looking; no third failure is waited for.
 */
export function siteFailed(house: House, error: FirecrestError, { system = SITE, atOnce = false } = {}): void {
  if (!ABOUT_THE_SITE.has(error.code)) return;
  const before = health(house);
  const now = house.now();
  const detail = diagnose(error);
  const own = before.failing[system] ?? { since: now, failures: 0, detail };
  // Once it is down, how often it failed no longer matters.
  const next = isDown(own, now) ? { ...own, detail } : { ...own, failures: own.failures + 1, detail };
  const failing = { ...before.failing, [system]: next };
  const noneIsWell = followed(house).every((name) => failing[name] !== undefined);
  const isUnhealthy = before.state === "unhealthy" || atOnce || (isDown(next, now) && noneIsWell);
  const isNews = isUnhealthy && before.state !== "unhealthy";
  const told: Health = isUnhealthy
    ? { state: "unhealthy", since: isNews ? now : (before.since ?? now), detail, failing }
    : { ...before, failing };
  if (JSON.stringify(told) === JSON.stringify(before)) return;
  house.change(() => {
    keep(house, told);
    if (isNews) say(house, "connection.unhealthy", error.code, detail);
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
