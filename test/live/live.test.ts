/**
 * Reads from a live FirecREST that the environment names, and prints what it answered. Nothing is submitted, staged or
 * written there; see docs/firecrest.md.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { READINGS } from "../contract/readings.ts";
import { ask, type LiveReport, type LiveSite, textOf } from "./ask.ts";

const site = siteOf(process.env);

describe.skipIf(site === undefined)("a live site (skipped without FIREWATCH_LIVE_URL)", { timeout: 300_000 }, () => {
  let report: LiveReport;
  beforeAll(async () => {
    if (site !== undefined) report = await ask(site);
    console.log(textOf(report));
  }, 300_000);

  for (const { title } of READINGS)
    it(title, () => expect(report.readings.find((reading) => reading.title === title)?.problem).toBeUndefined());
});

/** Undefined where no site is named. Throws with the name of what is missing. */
function siteOf(env: Record<string, string | undefined>): LiveSite | undefined {
  const url = env.FIREWATCH_LIVE_URL;
  if (url === undefined || url === "") return undefined;
  const need = (name: string) => {
    const value = env[`FIREWATCH_LIVE_${name}`];
    if (value === undefined || value === "")
      throw new Error(`FIREWATCH_LIVE_URL needs FIREWATCH_LIVE_${name} beside it`);
    return value;
  };
  const api = env.FIREWATCH_LIVE_API ?? (url.includes("/v1") ? "v1" : "v2");
  if (api !== "v1" && api !== "v2") throw new Error(`FIREWATCH_LIVE_API is v1 or v2, not ${api}`);
  const tokenUrl = need("TOKEN_URL");
  const apiKey = env.FIREWATCH_LIVE_API_KEY;
  const system = env.FIREWATCH_LIVE_SYSTEM;
  return {
    api,
    url,
    credential:
      apiKey === undefined
        ? { type: "client_credentials", tokenUrl, clientId: need("CLIENT_ID"), clientSecret: need("CLIENT_SECRET") }
        : { type: "api_key", tokenUrl, apiKey },
    ...(system === undefined ? {} : { system }),
  };
}
