/** What a connection does and owes, counted from its tables. Nothing is written for it. */
import type { Metric, Sample } from "../../shared/contract/metrics.ts";
import { JOB_STATUSES, TRANSFER_STATUSES } from "../../shared/contract/states.ts";
import type { Desk } from "./accept.ts";
import { viewHealth } from "./health.ts";
import type { House } from "./house.ts";
import { usage, viewObjects } from "./objects.ts";

/** Quantiles are of this many of the newest deliveries or ends: counting all of thirty days would cost more than it tells. */
const NEWEST = 1_000;
const QUANTILES = [0.5, 0.9, 0.99] as const;

export function metrics({ house, site }: Desk): Metric[] {
  const { requestsPerMinute, available, pausedUntil } = site.budgetView();
  const objects = viewObjects(house);
  const gauge = (name: string, help: string, samples: Sample[]): Metric => ({
    name: `firewatch_${name}`,
    type: "gauge",
    help,
    samples,
  });
  const counter = (name: string, help: string, value: number): Metric => ({
    name: `firewatch_${name}`,
    type: "counter",
    help,
    samples: [{ value }],
  });
  return [
    gauge(
      "jobs",
      "Jobs on record, by status.",
      byWord(house, "status", "SELECT status AS word, count(*) AS n FROM jobs GROUP BY 1", JOB_STATUSES),
    ),
    gauge(
      "transfers",
      "Transfers on record, by status.",
      byWord(house, "status", "SELECT status AS word, count(*) AS n FROM transfers GROUP BY 1", TRANSFER_STATUSES),
    ),
    gauge(
      "debts",
      "Staged links that are not yet proven to be gone, by state.",
      byWord(
        house,
        "state",
        "SELECT json_extract(doc, '$.state') AS word, count(*) AS n FROM debts WHERE open = 1 GROUP BY 1",
        ["owed", "releasing", "unreleasable"],
      ),
    ),
    gauge(
      "effects",
      "Changes on the far side that have not ended, by state.",
      byWord(
        house,
        "state",
        "SELECT state AS word, count(*) AS n FROM effects WHERE state IN ('planned', 'sent', 'unknown') GROUP BY 1",
        ["planned", "sent", "unknown"],
      ),
    ),
    gauge(
      "deliveries",
      "Deliveries that have not arrived, by status.",
      byWord(
        house,
        "status",
        "SELECT status AS word, count(*) AS n FROM deliveries WHERE status <> 'delivered' GROUP BY 1",
        ["pending", "held", "stuck", "exhausted", "aborted"],
      ),
    ),
    gauge(
      "receivers",
      "Receivers of events, by status.",
      byWord(house, "status", "SELECT status AS word, count(*) AS n FROM receivers GROUP BY 1", [
        "active",
        "paused",
        "disabled",
      ]),
    ),
    gauge("receivers_failing", "Receivers whose circuit is open.", [
      {
        value: count(
          house,
          "SELECT count(*) AS n FROM receivers WHERE json_extract(doc, '$.circuit.openedAt') IS NOT NULL",
        ),
      },
    ]),
    gauge(
      "dead_letters",
      "Queue messages of the last thirty days that were given up; the agenda brought their work back.",
      byWord(house, "queue", "SELECT queue AS word, count(*) AS n FROM dead GROUP BY 1", [
        "commands-dead",
        "transfers-dead",
        "callbacks-dead",
      ]),
    ),
    counter(
      "events",
      "Events of this connection since it was made.",
      count(house, "SELECT max(sequence) AS n FROM events"),
    ),
    counter("poll_rounds", "Rounds of looks at live jobs since the Tracker last woke.", house.counted.rounds),
    counter(
      "firecrest_requests",
      "Requests to FirecREST that the budget granted since the Tracker last woke.",
      Math.max(0, house.counted.requests),
    ),
    gauge("budget_requests_per_minute", "Requests to FirecREST that this connection may make in a minute.", [
      { value: requestsPerMinute },
    ]),
    gauge("budget_available", "Requests that may leave now.", [{ value: available }]),
    gauge("budget_paused", "1 while the site has asked for a pause.", [{ value: pausedUntil === undefined ? 0 : 1 }]),
    gauge("objects", "Objects in storage.", [{ value: objects.objects }]),
    gauge("object_bytes", "Bytes in object storage, and bytes on their way there.", [
      { labels: { state: "stored" }, value: objects.bytes },
      { labels: { state: "reserved" }, value: objects.reservedBytes },
    ]),
    gauge(
      "object_quota_bytes",
      "Bytes that may be stored; absent without a quota.",
      objects.quotaBytes === undefined ? [] : [{ value: objects.quotaBytes }],
    ),
    counter("objects_expired", "Objects that the lifetime rule removed.", usage(house).expired),
    gauge("healthy", "1 if the site answers, 0 if it does not; absent while nobody knows.", healthSamples(house)),
    ...lags(house),
  ];
}

const count = (house: House, query: string): number => house.row<{ n: number | null }>(query)?.n ?? 0;

/** A sample for each known word, 0 where there is nothing, so that no series comes and goes. */
function byWord(house: House, label: string, query: string, known: readonly string[]): Sample[] {
  const counted = new Map(house.rows<{ word: string; n: number }>(query).map(({ word, n }) => [word, n]));
  return [...new Set([...known, ...counted.keys()])].map((word) => ({
    labels: { [label]: word },
    value: counted.get(word) ?? 0,
  }));
}

function healthSamples(house: House): Sample[] {
  const { state } = viewHealth(house);
  return state === "unknown" ? [] : [{ value: state === "healthy" ? 1 : 0 }];
}

function lags(house: House): Metric[] {
  const family = (name: string, help: string, ms: number[]): Metric => ({
    name: `firewatch_${name}_seconds`,
    type: "gauge",
    unit: "seconds",
    help,
    samples: quantiles(ms),
  });
  const attempts = house.rows<{ created: number; first: string | null; last: string | null; status: string }>(
    `SELECT d.created_at AS created, d.status AS status,
       (SELECT json_extract(doc, '$.at') FROM attempts WHERE delivery = d.id AND attempt = 1) AS first,
       (SELECT json_extract(doc, '$.at') FROM attempts WHERE delivery = d.id ORDER BY attempt DESC LIMIT 1) AS last
     FROM deliveries d ORDER BY d.id DESC LIMIT ?`,
    NEWEST,
  );
  const since = (created: number, at: string | null): number[] =>
    at === null ? [] : [Math.max(0, Date.parse(at) - created)];
  // FirecREST v1 has no time for an end that could be trusted, so there the record's time is the time at which it was seen.
  const ends =
    house.meta("api") === "v1"
      ? []
      : house
          .rows<{ at: number; ended: string | null }>(
            `SELECT at, json_extract(body, '$.data.endedAt') AS ended FROM events
             WHERE type IN ('job.succeeded', 'job.failed', 'job.cancelled') AND body IS NOT NULL ORDER BY sequence DESC LIMIT ?`,
            NEWEST,
          )
          .flatMap(({ at, ended }) => (ended === null ? [] : [Math.max(0, at - Date.parse(ended))]));
  return [
    family(
      "callback_first_attempt",
      `From an event to its first attempt, of the newest ${NEWEST} deliveries.`,
      attempts.flatMap(({ created, first }) => since(created, first)),
    ),
    family(
      "callback_success",
      `From an event to its arrival, of those of the newest ${NEWEST} deliveries that arrived.`,
      attempts.flatMap(({ created, last, status }) => (status === "delivered" ? since(created, last) : [])),
    ),
    family(
      "job_end_lag",
      `From the scheduler's end of a job to its event, of the newest ${NEWEST} ends. Not known on FirecREST v1: no samples there.`,
      ends,
    ),
  ];
}

function quantiles(ms: number[]): Sample[] {
  const sorted = ms.toSorted((a, b) => a - b);
  if (sorted.length === 0) return [];
  return QUANTILES.map((q) => ({
    labels: { quantile: String(q) },
    value: (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0) / 1000,
  }));
}
