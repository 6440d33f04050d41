/**
 * Asks a live site what can be asked without changing anything there, and reports what it answered. Only GET requests leave
 * for the site's API, whatever a client would like to send.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Api, SiteParameters } from "../../shared/firecrest/port.ts";
import type { Credential } from "../../shared/firecrest/token.ts";
import { READINGS } from "../contract/readings.ts";
import { clientOf } from "../support/site-client.ts";
import { fieldsIn, operationOf, readKnownFields } from "./fields.ts";

export interface LiveSite {
  api: Api;
  url: string;
  credential: Credential;
  /** Absent = the first one that is available. */
  system?: string;
}

export interface LiveReport {
  api: Api;
  url: string;
  system: string;
  parameters: SiteParameters;
  readings: { title: string; saw?: string; problem?: string }[];
  /** Per operation: how often each status was answered, and how long the slowest answer took. */
  operations: Record<string, { statuses: Record<string, number>; slowestMs: number }>;
  /** Per operation: fields of its answers that no recording of a real server has. Our decoders pass them over. */
  unknownFields: Record<string, string[]>;
}

type Send = (url: string, init: RequestInit) => Promise<Response>;

const recordingOf = (api: Api): string =>
  readFileSync(join(import.meta.dirname, `../data/captures/${api}.jsonl`), "utf8");

export async function ask(site: LiveSite, send: Send = fetch): Promise<LiveReport> {
  const { api, credential } = site;
  const url = site.url.replace(/\/+$/, "");
  const exchanges: { operation: string; status: number; ms: number; body: unknown }[] = [];

  const { client } = clientOf({
    api,
    url,
    credential,
    now: Date.now,
    sleep: delay,
    async send(address, init) {
      if (address === credential.tokenUrl) return send(address, init);
      if ((init.method ?? "GET") !== "GET") throw new Error(`only reads are sent to a live site, not ${init.method}`);
      const startedAt = Date.now();
      const response = await send(address, init);
      const operation = operationOf(address.slice(url.length));
      const body: unknown = await response
        .clone()
        .json()
        .catch(() => undefined);
      exchanges.push({ operation, status: response.status, ms: Date.now() - startedAt, body: response.ok && body });
      return response;
    },
  });

  const systems = await client.systems();
  const system = site.system ?? (systems.find(({ available }) => available) ?? systems[0])?.name;
  if (system === undefined) throw new Error("the site has no system");
  const readings: LiveReport["readings"] = [];
  for (const { title, read } of READINGS) {
    const outcome = await read(client, system).then(
      (saw) => ({ saw }),
      (error: unknown) => ({ problem: error instanceof Error ? error.message : String(error) }),
    );
    readings.push({ title, ...outcome });
  }
  const parameters = await client.parameters();

  const known = readKnownFields(recordingOf(api));
  const names = new Set(systems.map(({ name }) => name));
  const report: LiveReport = { api, url, system, parameters, readings, operations: {}, unknownFields: {} };
  for (const { operation, status, ms, body } of exchanges) {
    const seen = report.operations[operation] ?? { statuses: {}, slowestMs: 0 };
    report.operations[operation] = seen;
    seen.statuses[status] = (seen.statuses[status] ?? 0) + 1;
    seen.slowestMs = Math.max(seen.slowestMs, ms);
    const unknown = [...fieldsIn(body, names)].filter((field) => known.get(operation)?.has(field) !== true);
    if (unknown.length === 0) continue;
    report.unknownFields[operation] = [...new Set([...(report.unknownFields[operation] ?? []), ...unknown])].sort();
  }
  return report;
}

export function textOf({ api, url, system, parameters, readings, operations, unknownFields }: LiveReport): string {
  return [
    `FirecREST ${api} at ${url}, system ${system}, version ${parameters.version ?? "not told"}`,
    "",
    ...readings.map(({ title, saw, problem }) =>
      problem === undefined ? `ok      ${title}: ${saw}` : `FAILED  ${title}: ${problem}`,
    ),
    "",
    ...Object.entries(operations).map(([operation, { statuses, slowestMs }]) => {
      const counts = Object.entries(statuses).map(([status, count]) => `${count} × ${status}`);
      return `GET ${operation}: ${counts.join(", ")}; slowest ${slowestMs} ms`;
    }),
    "",
    ...(Object.keys(unknownFields).length === 0
      ? ["Every field of every answer is one that we have seen before."]
      : []),
    ...Object.entries(unknownFields).map(([operation, fields]) => `new fields in ${operation}: ${fields.join(", ")}`),
  ].join("\n");
}
