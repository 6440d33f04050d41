/** The connection itself: made, checked, shown, removed. */

import { rfc3339 } from "../../shared/clock.ts";
import { SCOPES } from "../../shared/contract/access.ts";
import type { Connection, ConnectionRequest, MadeConnection } from "../../shared/contract/connection.ts";
import type { Answer, FieldProblem, Origin } from "../../shared/contract/rpc.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Desk } from "./accept.ts";
import { type Actor, audit, keepKey, makeKey } from "./access.ts";
import { firstCensus } from "./census.ts";
import { ADDRESS_REFUSED } from "./examine.ts";
import { siteAnswered, siteFailed, viewHealth } from "./health.ts";
import type { House } from "./house.ts";
import type { OpenedInvitation } from "./invitations.ts";
import { migrate } from "./migrations.ts";
import { viewObjects } from "./objects.ts";
import { freshKey, takeFirstKey } from "./signing.ts";
import { readRequest, type SiteFacts } from "./site.ts";

const INVITED_BY = "invitation";
const CHECK_REQUESTS = 3;

/**
 * Makes or changes the connection. Durable first, then checked: a site that is down for maintenance is no reason to refuse,
 * so the answer's `health` says in words what is wrong and what to do.
 */
export async function create(
  desk: Desk,
  actor: Actor,
  name: string,
  request: ConnectionRequest,
  origin: Origin,
  invitation?: OpenedInvitation,
): Promise<Answer<{ created: boolean; connection: MadeConnection }>> {
  const { house, seal, site, egress } = desk;
  const { config, secret } = readRequest(request, house.now());
  const problems: FieldProblem[] = [
    { field: "/url", url: config.url },
    { field: "/auth/tokenUrl", url: config.auth.tokenUrl },
  ]
    .filter(({ url }) => egress.refusal(url) !== undefined)
    .map(({ field }) => ({ field, message: ADDRESS_REFUSED }));
  if (problems.length > 0) return { ok: false, code: "invalid", errors: problems };

  const credential = await seal.seal(secret, { purpose: "credential", connection: name, id: "credential" });
  const key = await freshKey(desk);

  const owner = invitation && (await makeKey(house, { name: "owner", scopes: [...SCOPES] }));

  const made = house.change(() => {
    migrate(house.sql);
    const before = house.meta("site");
    // Two people with one invitation: the first was faster.
    if (invitation !== undefined && before !== undefined) return undefined;
    const createdAt = before === undefined ? config.createdAt : (JSON.parse(before) as { createdAt: number }).createdAt;
    house.setMeta("site", JSON.stringify({ ...config, createdAt }));
    house.setMeta("api", config.api);
    house.setMeta("credential", credential);
    takeFirstKey(house, key);
    house.due("retention", "", house.now() + 3_600_000, true);
    firstCensus(house);
    audit(house, actor, before === undefined ? "connection.create" : "connection.change", "connection", origin);
    if (invitation !== undefined) house.setMeta(INVITED_BY, JSON.stringify(invitation));
    return {
      created: before === undefined,
      ...(owner === undefined ? {} : { ownerKey: keepKey(house, actor, owner, origin) }),
    };
  });
  if (made === undefined) return { ok: false, code: "unauthorized" };
  site.changed();
  await house.env.TOKENS.delete(`token/${name}`);
  await markLive(house, { always: true });
  await check(desk);
  const { created, ...owned } = made;
  return { ok: true, value: { created, connection: { ...describe(desk), ...owned } } };
}

/** The invitation that made this connection: it may not make it again after its removal. */
export function invitedBy(house: House): OpenedInvitation | undefined {
  const text = house.meta(INVITED_BY);
  return text === undefined ? undefined : (JSON.parse(text) as OpenedInvitation);
}

/** Token, systems, one read. What goes wrong is on record in the connection's health. */
export async function check(desk: Desk): Promise<void> {
  const { house, site } = desk;
  site.settle(0, CHECK_REQUESTS);
  try {
    const { firecrest } = site.client();
    const facts: SiteFacts = {
      systems: await firecrest.systems(),
      parameters: await firecrest.parameters(),
      at: house.now(),
    };
    siteAnswered(house, { checked: true });
    house.change(() => house.setMeta("facts", JSON.stringify(facts)));
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    house.log({ event: "connection.check_failed", code: error.code, detail: error.message });
    siteFailed(house, error, { atOnce: true });
  }
}

export function describe({ house, site }: Desk): Connection {
  const config = site.config();
  const count = (query: string): number => house.row<{ n: number }>(query)?.n ?? 0;
  return {
    name: house.name,
    api: config.api,
    url: config.url,
    auth: {
      type: config.auth.type,
      tokenUrl: config.auth.tokenUrl,
      ...(config.auth.clientId === undefined ? {} : { clientId: config.auth.clientId }),
    },
    systems: site.facts()?.systems ?? [],
    health: viewHealth(house),
    budget: budgetView(site.budgetView()),
    debts: {
      owed: count("SELECT count(*) AS n FROM debts WHERE open = 1 AND json_extract(doc, '$.state') <> 'unreleasable'"),
      unreleasable: count(
        "SELECT count(*) AS n FROM debts WHERE open = 1 AND json_extract(doc, '$.state') = 'unreleasable'",
      ),
    },
    live: live(house),
    objects: viewObjects(house),
    ...(config.limits === undefined ? {} : { limits: config.limits }),
    createdAt: rfc3339(config.createdAt),
  };
}

function budgetView({
  pausedUntil,
  ...budget
}: {
  requestsPerMinute: number;
  available: number;
  pausedUntil?: number;
}): Connection["budget"] {
  return pausedUntil === undefined ? budget : { ...budget, pausedUntil: rfc3339(pausedUntil) };
}

function live(house: House): Connection["live"] {
  const count = (query: string): number => house.row<{ n: number }>(query)?.n ?? 0;
  return {
    jobs: count("SELECT count(*) AS n FROM jobs WHERE live = 1"),
    transfers: count("SELECT count(*) AS n FROM transfers WHERE live = 1"),
    deliveries: count("SELECT count(*) AS n FROM deliveries WHERE status = 'pending'"),
  };
}

/** Whether the sweep has to visit: anything due other than housekeeping. */
export function isLive(house: House): boolean {
  return house.row("SELECT 1 FROM agenda WHERE kind NOT IN ('retention', 'objects') LIMIT 1") !== undefined;
}

/**
 * KV tells the sweep where there is work. Written only when that changes; never an access decision. One mark after the
 * other: of two at once the older could be written last.
 */
export function markLive(house: House, { always = false } = {}): Promise<void> {
  house.marking = house.marking
    .catch(() => {})
    .then(async () => {
      const live = isLive(house);
      if (!always && (house.meta("marked_live") === "1") === live) return;
      await house.env.INDEX.put(`connection/${house.name}`, "", { metadata: { live } });
      house.setMeta("marked_live", live ? "1" : "0");
    });
  return house.marking;
}

/** Refused while staged links are owed: whoever removes the connection removes the means to release them. */
export async function remove(desk: Desk, actor: Actor, force: boolean, origin: Origin): Promise<Answer<null>> {
  const { house } = desk;
  const { debts, live: work } = describe(desk);
  if (!force && debts.owed > 0) {
    return {
      ok: false,
      code: "conflict",
      detail: `${debts.owed} staged links are still owed to the site; wait for their release, or remove with ?force=true.`,
    };
  }
  house.log({ event: "connection.removed", actor: actor.name, origin: origin.ip, force, ...work, owed: debts.owed });
  await house.env.TOKENS.delete(`token/${house.name}`);
  return { ok: true, value: null };
}

/** There is no such connection (any more): the sweep visits it no longer. After the last mark that may still be written. */
export async function unmark(house: House): Promise<void> {
  await house.marking.catch(() => {});
  await house.env.INDEX.delete(`connection/${house.name}`);
}
