/** Firewatch's API for one workflow: each request with a fresh OIDC token of this run, again while the way is bad. */
import { setTimeout as sleep } from "node:timers/promises";
import { mask } from "./runner.mjs";

const ATTEMPTS = 8;
const REQUEST_MS = 90_000;
/** A token that ends sooner than this is not used any more. */
const SPARE_SECONDS = 60;

/** A no that asking again would not change. */
class Refused extends Error {}

/** In the words of the deployment. */
function refusal(status, problem) {
  const fields = (problem?.errors ?? []).map(({ field, message }) => `${field} ${message}`);
  const words = [problem?.detail ?? problem?.title, ...fields.filter((field) => field !== problem?.detail)];
  return new Refused(`Firewatch answered ${status}: ${words.filter(Boolean).join("; ") || "no reason was given"}`);
}

export function connect({ url, connection, audience }) {
  const base = `${url.replace(/\/+$/, "")}/v1/connections/${encodeURIComponent(connection)}`;
  let token = { text: "", until: 0 };

  async function bearer() {
    if (Date.now() / 1000 < token.until - SPARE_SECONDS) return token.text;
    const text = await identityToken(audience);
    token = { text, until: expiryOf(text) };
    return text;
  }

  /** Answers the response, whatever its status. What may be sent twice is sent again after no answer, 429 and 5xx. */
  async function request(method, path, { body, headers = {} } = {}) {
    for (let attempt = 1; ; attempt++) {
      const last = attempt === ATTEMPTS;
      try {
        const response = await fetch(`${base}/${path}`, {
          method,
          headers: {
            ...headers,
            authorization: `Bearer ${await bearer()}`,
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(REQUEST_MS),
        });
        if (last || (response.status !== 429 && response.status < 500)) return response;
        await response.body?.cancel();
        await sleep(1000 * Math.max(Number(response.headers.get("retry-after")) || 0, 2 ** (attempt - 1)));
      } catch (error) {
        if (last || error instanceof Refused) throw error;
        await sleep(1000 * 2 ** (attempt - 1));
      }
    }
  }

  async function json(method, path, options) {
    const response = await request(method, path, options);
    const answer = await response.json().catch(() => undefined);
    if (!response.ok) throw refusal(response.status, answer);
    return answer;
  }

  return { request, json };
}

/** Asks the runner for a token of this run. The workflow has to allow it: `permissions: id-token: write`. */
async function identityToken(audience) {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = process.env;
  if (!url || !token)
    throw new Refused("This workflow may not make OIDC tokens; add `permissions: { id-token: write }` to its job.");
  const response = await fetch(`${url}&audience=${encodeURIComponent(audience)}`, {
    headers: { authorization: `Bearer ${token}`, accept: "application/json; api-version=2.0" },
    signal: AbortSignal.timeout(REQUEST_MS),
  });
  const value = response.ok ? (await response.json()).value : undefined;
  if (typeof value !== "string") throw new Error(`the runner's token service answered ${response.status}`);
  mask(value);
  return value;
}

function expiryOf(token) {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).exp ?? 0;
  } catch {
    return 0;
  }
}
