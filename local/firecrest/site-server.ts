/** One address for a whole site: v1, v2, tokens, the staging area and, where it is enabled, the control of faults. */

import type { Clock } from "./clock.ts";
import { Faults, seededRandom } from "./faults.ts";
import { controlFaults, withApiKeys, withFaults } from "./gateway.ts";
import type { Host } from "./host.ts";
import { type ClientAccount, createOidc, type OidcOptions } from "./oidc.ts";
import { DEFAULT_LIMITS, type Limits, type Quirks, type Site } from "./site.ts";
import type { Segments } from "./staging/segments.ts";
import { Staging } from "./staging/staging.ts";
import type { Store } from "./store.ts";
import { createV1 } from "./v1/app.ts";
import { createV2 } from "./v2/app.ts";
import type { V2Options } from "./v2/options.ts";

const V1_PATH = "/hpc/firecrest/v1";
const V2_PATH = "/hpc/firecrest/v2";
const REALM_PATH = "/auth/realms/firewatch";
const TOKEN_PATH = `${REALM_PATH}/protocol/openid-connect/token`;
const CERTS_PATH = `${REALM_PATH}/protocol/openid-connect/certs`;
const STAGING_PATH = "/staging";
const TOKEN_LIFE_SECONDS = 300;

export interface SiteOptions {
  /** By public name; the first one is `cluster` unless you name it otherwise. */
  systems: ReadonlyMap<string, Host>;
  clock: Clock;
  /** Keys, tasks and staged objects, each below its own prefix. */
  store: Store;
  segments: Segments;
  accounts: readonly ClientAccount[];
  quirks?: Quirks;
  limits?: Partial<Limits>;
  /** Life of tokens in seconds. */
  tokenLifeSeconds?: number;
  /** Seed of everything random but keys and ids. */
  seed?: number;
  /** Opens `/_control/faults`. */
  control?: boolean;
  v2?: Partial<V2Options>;
  newKey?: OidcOptions["newKey"];
}

export interface SiteServer {
  site: Site;
  /** What v2 goes by; change it at any time. */
  v2Options: Partial<V2Options>;
  fetch(request: Request): Promise<Response>;
  /** Tells the site its own address (without a trailing slash). Needed before the first request. */
  publish(url: string): void;
  urls(): { v1Url: string; v2Url: string; tokenUrl: string; certsUrl: string; stagingUrl: string };
}

export async function createSiteServer(options: SiteOptions): Promise<SiteServer> {
  const { clock } = options;
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const random = seededRandom(options.seed ?? 1);
  const faults = new Faults(random);
  let base = "";

  const oidc = await createOidc({
    accounts: options.accounts,
    store: below(options.store, "oidc/"),
    now: clock.now,
    tokenLifeSeconds: () =>
      faults.strike("token_life", { method: "POST", path: TOKEN_PATH })?.seconds ??
      options.tokenLifeSeconds ??
      TOKEN_LIFE_SECONDS,
    issuer: () => base + REALM_PATH,
    newKey: options.newKey,
  });
  const staging = new Staging({
    store: below(options.store, "staging/"),
    segments: options.segments,
    credentials: stagingCredentials(options.store),
    now: clock.now,
    objectLifeSeconds: limits.stagingTtlSeconds,
    cutAfter: (request) => {
      const { pathname, search } = new URL(request.url);
      return faults.strike("staged_read_cut", { method: request.method, path: pathname + search })?.bytes;
    },
  });
  await staging.sweep();

  const site: Site = {
    systems: options.systems,
    staging,
    oidc,
    faults,
    quirks: options.quirks ?? "none",
    store: below(options.store, "v1/"),
    limits,
    clock,
    random,
    background: (work) => void work.catch(() => {}),
  };
  const v2Options: Partial<V2Options> = { ...options.v2 };
  const v1 = createV1(site, V1_PATH);
  const v2 = createV2(site, V2_PATH, v2Options);

  const api = withApiKeys(
    (request) => oidc.token(request),
    async (request) =>
      isBelow(new URL(request.url).pathname, V1_PATH) ? await v1.fetch(request) : await v2.fetch(request),
  );
  const route = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (isBelow(pathname, V1_PATH) || isBelow(pathname, V2_PATH)) return await api(request);
    if (isBelow(pathname, STAGING_PATH)) return await staging.fetch(request);
    if (pathname === TOKEN_PATH) return await oidc.token(request);
    if (pathname === CERTS_PATH) return oidc.certs();
    return Response.json({ message: "no Route matched with those values" }, { status: 404 });
  };
  const guarded = withFaults(faults, clock, route);

  return {
    site,
    v2Options,
    fetch: async (request) => {
      const isControl = options.control === true && isBelow(new URL(request.url).pathname, "/_control/faults");
      return isControl ? await controlFaults(faults, request) : await guarded(request);
    },
    publish(url) {
      base = url;
      staging.publish(url + STAGING_PATH);
    },
    urls: () => ({
      v1Url: base + V1_PATH,
      v2Url: base + V2_PATH,
      tokenUrl: base + TOKEN_PATH,
      certsUrl: base + CERTS_PATH,
      stagingUrl: base + STAGING_PATH,
    }),
  };
}

/** Whether a path (or path and query) is v2's. */
export const isV2 = (path: string): boolean => isBelow(path, V2_PATH);

function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

function stagingCredentials(store: Store): { accessKey: string; secretKey: string } {
  const saved = store.get<{ accessKey: string; secretKey: string }>("staging-credentials");
  if (saved !== undefined) return saved;
  const made = { accessKey: "storage_access_key", secretKey: crypto.randomUUID() + crypto.randomUUID() };
  store.set("staging-credentials", made);
  return made;
}

/** A part of a store, by prefix. */
function below(store: Store, prefix: string): Store {
  return {
    entries: <T>(inner: string) =>
      store.entries<T>(prefix + inner).map(({ key, value }) => ({ key: key.slice(prefix.length), value })),
    get: <T>(key: string) => store.get<T>(prefix + key),
    set: (key, value) => store.set(prefix + key, value),
    delete: (key) => store.delete(prefix + key),
  };
}
