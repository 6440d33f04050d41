/**
 * The keys that a connection signs with. The newest signs; after a rotation the one before signs callbacks beside it for as
 * long as receivers may still hold an older set. Public halves are published for good: what was once signed stays verifiable.
 */
import { rfc3339, systemRandom } from "../../shared/clock.ts";
import type { Answer, Origin } from "../../shared/contract/rpc.ts";
import {
  generateSigningKey,
  type JwksEntry,
  jwksEntry,
  type PrivateJwk,
  publicHalf,
} from "../../shared/webhooks/ed25519.ts";
import type { Desk } from "./accept.ts";
import { type Actor, audit } from "./access.ts";
import type { House } from "./house.ts";

const SIGNING_KEY = "signing_key";
const PREVIOUS_KEY = "signing_key_previous";
const PUBLIC_KEYS = "public_keys";
/** Much longer than the key set may be cached, short enough for a key that got out. */
const OVERLAP_MS = 3_600_000;

const bindingOf = (house: House) => ({ purpose: SIGNING_KEY, connection: house.name, id: SIGNING_KEY });

/** A key that is not yet in use. Made before the transaction that takes it, since sealing waits. */
export interface FreshKey {
  sealed: string;
  entry: JwksEntry;
}

export async function freshKey({ house, seal }: Pick<Desk, "house" | "seal">): Promise<FreshKey> {
  const key = await generateSigningKey(systemRandom);
  return {
    sealed: await seal.seal(JSON.stringify(key), bindingOf(house)),
    entry: await jwksEntry(publicHalf(key), { nbf: Math.floor(house.now() / 1000) }),
  };
}

/** Takes a connection's first key. Does nothing where there is one. Call inside `house.change`. */
export function takeFirstKey(house: House, { sealed, entry }: FreshKey): void {
  if (house.meta(SIGNING_KEY) !== undefined) return;
  house.setMeta(SIGNING_KEY, sealed);
  house.setMeta(PUBLIC_KEYS, JSON.stringify([entry]));
}

/** Another key from now on. Receipts of the old one still verify; callbacks carry both signatures for an hour. */
export async function rotateSigningKey(
  desk: Desk,
  actor: Actor,
  origin: Origin,
): Promise<Answer<{ kid: string; previousValidUntil: string }>> {
  const { house } = desk;
  const fresh = await freshKey(desk);
  return house.change(() => {
    const until = house.now() + OVERLAP_MS;
    const before = publicKeys(house);
    house.setMeta(PREVIOUS_KEY, JSON.stringify({ sealed: house.meta(SIGNING_KEY), until }));
    house.setMeta(SIGNING_KEY, fresh.sealed);
    const exp = Math.ceil(until / 1000);
    const retired = before.map((entry) => ({ ...entry, exp: Math.min(entry.exp ?? exp, exp) }));
    house.setMeta(PUBLIC_KEYS, JSON.stringify([fresh.entry, ...retired]));
    audit(house, actor, "signing_key.rotate", `webhook-keys/${fresh.entry.kid}`, origin);
    return { ok: true, value: { kid: fresh.entry.kid, previousValidUntil: rfc3339(until) } };
  });
}

const publicKeys = (house: House): JwksEntry[] => JSON.parse(house.meta(PUBLIC_KEYS) ?? "[]") as JwksEntry[];

/** All keys ever used, newest first; one that no longer signs has an `exp`. */
export const webhookKeys = (house: House): { keys: Record<string, unknown>[] } => ({
  keys: publicKeys(house).map((entry) => ({ ...entry })),
});

/** The keys that sign now, newest first. */
export async function signingKeys({ house, seal }: Desk): Promise<[PrivateJwk, ...PrivateJwk[]]> {
  const open = async (sealed: string) => JSON.parse(await seal.open(sealed, bindingOf(house))) as PrivateJwk;
  const current = await open(house.meta(SIGNING_KEY) ?? "");
  const stored = house.meta(PREVIOUS_KEY);
  const previous = stored === undefined ? undefined : (JSON.parse(stored) as { sealed: string; until: number });
  return previous !== undefined && previous.until > house.now() ? [current, await open(previous.sealed)] : [current];
}

/** A key that signs no more is forgotten. Call inside `house.change`. */
export function forgetRetiredKey(house: House): void {
  const stored = house.meta(PREVIOUS_KEY);
  if (stored !== undefined && (JSON.parse(stored) as { until: number }).until <= house.now())
    house.run("DELETE FROM meta WHERE key = ?", PREVIOUS_KEY);
}
