/**
 * How each kind of sender proves itself: one entry per word that a hook's `source` may be. (`oidc` is apart, in `../oidc.ts`:
 * it needs keys from elsewhere.)
 */
import type { HOOK_SOURCES } from "../../contract/hook.ts";
import { parsePublicKey } from "../ed25519.ts";
import { verify } from "../standard.ts";
import { refused, type Verdict } from "../verdict.ts";
import { type HmacScheme, hmacVerifier } from "./hmac.ts";
import { bearer, gitlab } from "./token.ts";
import { areUsable, type InboundMessage, type Verifier } from "./verifier.ts";

export type SignedSource = Exclude<(typeof HOOK_SOURCES)[number], "oidc">;

/** `whsec_…` secrets verify `v1`, `whpk_…` public keys verify `v1a`; anything else among them is a broken configuration. */
const standardWebhooks: Verifier = async ({ headers, rawBody, nowSeconds, secrets }) => {
  const publicKeys = secrets.filter((secret) => secret.startsWith("whpk_")).map(parsePublicKey);
  if (!areUsable(secrets) || !publicKeys.every((key) => key !== undefined)) return refused("not_configured");
  return verify(
    headers,
    rawBody,
    { secrets: secrets.filter((secret) => !secret.startsWith("whpk_")), publicKeys },
    nowSeconds,
  );
};

/** GitLab signs like Standard Webhooks where a signing token (`whsec_…`) is set, and shows its classic token where not. */
const gitlabEither: Verifier = (message) => {
  const signing = message.secrets.filter((secret) => secret.startsWith("whsec_"));
  const classic = message.secrets.filter((secret) => !secret.startsWith("whsec_"));
  const signs = signing.length > 0 && (classic.length === 0 || message.headers.has("webhook-signature"));
  return signs ? standardWebhooks({ ...message, secrets: signing }) : gitlab({ ...message, secrets: classic });
};

/** The schemes of well-known senders. */
export const HMAC_PRESETS = {
  github: { header: "x-hub-signature-256", prefix: "sha256=", idHeader: "x-github-delivery" },
  slack: {
    header: "x-slack-signature",
    prefix: "v0=",
    content: "v0:{timestamp}:{body}",
    timestampHeader: "x-slack-request-timestamp",
    idInBody: (body) => jsonMember(body, "event_id") ?? new URLSearchParams(body).get("trigger_id") ?? undefined,
  },
  stripe: {
    header: "stripe-signature",
    pairs: { timestamp: "t", signature: "v1" },
    content: "{timestamp}.{body}",
    idInBody: (body) => jsonMember(body, "id"),
  },
  shopify: { header: "x-shopify-hmac-sha256", encoding: "base64", idHeader: "x-shopify-webhook-id" },
  gitea: { header: "x-gitea-signature", idHeader: "x-gitea-delivery" },
} as const satisfies Record<string, HmacScheme>;

const VERIFIERS: Record<Exclude<SignedSource, "hmac">, Verifier> = {
  "standard-webhooks": standardWebhooks,
  gitlab: gitlabEither,
  bearer,
  github: hmacVerifier(HMAC_PRESETS.github),
  slack: hmacVerifier(HMAC_PRESETS.slack),
  stripe: hmacVerifier(HMAC_PRESETS.stripe),
  shopify: hmacVerifier(HMAC_PRESETS.shopify),
  gitea: hmacVerifier(HMAC_PRESETS.gitea),
};

/** The verdict on one inbound request. A source that is unknown or lacks its configuration believes nothing. */
export async function verifyInbound(
  source: { source: string; hmac?: HmacScheme | undefined },
  message: InboundMessage,
): Promise<Verdict> {
  return (await verifierOf(source)?.(message)) ?? refused("not_configured");
}

function verifierOf({ source, hmac }: { source: string; hmac?: HmacScheme | undefined }): Verifier | undefined {
  if (source === "hmac") return hmac && hmacVerifier(hmac);
  return Object.hasOwn(VERIFIERS, source) ? VERIFIERS[source as keyof typeof VERIFIERS] : undefined;
}

function jsonMember(body: string, name: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    const member: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
    return typeof member === "string" ? member : undefined;
  } catch {
    return undefined;
  }
}
