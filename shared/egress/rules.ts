/** Which URLs may be fetched: checked when one is registered, before every request, and at every redirect. */
import {
  type Address,
  effective,
  type HostRefusal,
  hostRefusal,
  inRange,
  isPublic,
  parseAddress,
  parseRange,
  plainName,
  type Range,
} from "./address.ts";

/** What an operator allows on top of the public internet. A host may be `name`, `name:port` or `*.suffix`. */
export interface AllowList {
  cidrs: readonly string[];
  hosts: readonly string[];
}

/** Exact words for the log. The caller is told only that the address is not allowed. */
export type RefusalReason =
  | HostRefusal
  | "not_a_url"
  | "not_https"
  | "userinfo"
  | "fragment"
  | "port"
  | "own_host"
  | "storage_origin"
  | "too_many_redirects"
  | "redirect_of_a_write";

export interface Rules {
  /** The URL if it may be fetched as far as can be seen without looking its name up. */
  check(url: string): { ok: true; url: URL; byOperator: boolean } | { ok: false; reason: RefusalReason };
  /** Whether an address that a name resolved to may be connected to. */
  mayConnect(address: Address): boolean;
}

/** Throws TypeError for an allow-list that cannot be read: an operator should hear of it at the start. */
export function createRules(allow: AllowList, ownHosts: readonly string[]): Rules {
  const ranges = allow.cidrs.map(readRange);
  const hosts = allow.hosts.map((host) => host.toLowerCase());
  const own = new Set(ownHosts.map(plainName));

  const inAllowedRange = (address: Address): boolean =>
    ranges.some((range) => inRange(address, range) || inRange(effective(address), range));

  function isAllowedHost({ hostname, port, protocol }: URL): boolean {
    const name = plainName(hostname);
    const withPort = `${name}:${port || (protocol === "https:" ? "443" : "80")}`;
    return hosts.some(
      (host) => host === name || host === withPort || (host.startsWith("*.") && name.endsWith(host.slice(1))),
    );
  }

  return {
    check(text) {
      if (!URL.canParse(text)) return { ok: false, reason: "not_a_url" };
      const url = new URL(text);
      if (url.protocol !== "https:" && url.protocol !== "http:") return { ok: false, reason: "not_https" };
      if (url.username !== "" || url.password !== "") return { ok: false, reason: "userinfo" };
      if (url.hash !== "" || text.includes("#")) return { ok: false, reason: "fragment" };
      const address = parseAddress(url.hostname);
      const byOperator = isAllowedHost(url) || (address !== undefined && inAllowedRange(address));
      if (byOperator) return { ok: true, url, byOperator };
      // A request to ourselves would come back in as a stranger's, and could go round for ever.
      if (own.has(plainName(url.hostname))) return { ok: false, reason: "own_host" };
      if (url.protocol !== "https:") return { ok: false, reason: "not_https" };
      const port = url.port === "" ? 443 : Number(url.port);
      if (port !== 443 && port < 1024) return { ok: false, reason: "port" };
      const reason = hostRefusal(url.hostname);
      return reason === undefined ? { ok: true, url, byOperator } : { ok: false, reason };
    },
    mayConnect: (address) => isPublic(address) || inAllowedRange(address),
  };
}

function readRange(text: string): Range {
  const range = parseRange(text);
  if (range === undefined)
    throw new TypeError(`the egress allow-list holds ${JSON.stringify(text)}, which is not a CIDR`);
  return range;
}
