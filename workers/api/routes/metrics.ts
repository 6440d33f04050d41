/** Numbers for whoever collects them, as OpenMetrics text: of one connection, or of the whole deployment. */
import type { Metric } from "../../../shared/contract/metrics.ts";
import { z } from "../../../shared/contract/words.ts";
import { given } from "../answers.ts";
import type { Deps } from "../deps.ts";
import type { Routes } from "../endpoint.ts";
import { OPENMETRICS_TYPE, openMetrics } from "../openmetrics.ts";

const tag = "Service";
const TEXT = { description: "OpenMetrics text.", schema: z.string(), contentType: OPENMETRICS_TYPE };
/** Beyond this many connections, each is asked at its own address. */
const MAX_CONNECTIONS = 500;
const PARALLEL = 10;

export function metricsRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "getConnectionMetrics",
      method: "get",
      path: "/v1/connections/{c}/metrics",
      tag,
      summary: "What a connection does and owes, in numbers",
      description:
        "Jobs and transfers by status, debts, deliveries, dead letters, polls, requests and budget, and how long callbacks take. The time from a job's end to its event is not known on FirecREST v1.",
      scope: "jobs:read",
      answers: { 200: TEXT },
    },
    async ({ tracker, caller, connection }) => text(new Map([[connection, given(await tracker.metrics(caller))]])),
  );

  guarded(
    {
      id: "getMetrics",
      method: "get",
      path: "/metrics",
      tag,
      summary: "The same for all connections of this deployment",
      description: `For ADMIN_TOKEN. Of the first ${MAX_CONNECTIONS} connections by name.`,
      scope: "admin",
      answers: { 200: TEXT },
    },
    async ({ deps }) => text(await all(deps)),
  );
}

const text = (connections: ReadonlyMap<string, readonly Metric[]>): Response =>
  new Response(openMetrics(connections), { headers: { "content-type": OPENMETRICS_TYPE } });

/** A connection that cannot be asked now is left out; the others are told. */
async function all({ poller, tracker, log }: Deps): Promise<Map<string, Metric[]>> {
  const names: string[] = [];
  for (let cursor: string | undefined; names.length < MAX_CONNECTIONS; ) {
    const page = await poller.connections({ limit: 200, ...(cursor === undefined ? {} : { cursor }) });
    names.push(...page.items.map(({ name }) => name));
    cursor = page.cursor;
    if (cursor === undefined) break;
  }
  const queue = names.slice(0, MAX_CONNECTIONS);
  const found = new Map<string, Metric[]>();
  const ask = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      try {
        const answer = await tracker(name).metrics({ kind: "admin" });
        if (answer.ok) found.set(name, answer.value);
      } catch (error) {
        log({ event: "metrics.not_asked", connection: name, error });
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, ask));
  return new Map([...found].sort(([a], [b]) => a.localeCompare(b)));
}
