/** The one way out of a Worker, made from its settings. */
import { type Now, systemNow } from "../clock.ts";
import { z } from "../contract/words.ts";
import { createDohResolver } from "./doh.ts";
import { createEgress, type Egress, type EgressDeps } from "./egress.ts";

/** As the environment of every Worker holds them; empty counts as absent. */
export interface EgressSettings {
  /** The operator's exceptions for private receivers, sites and issuers: JSON `{"hosts":[…],"cidrs":[…]}`. */
  EGRESS_ALLOW?: string;
  /** DNS-over-HTTPS endpoint. Absent: names are not looked up before they are fetched (local runtime). */
  DOH_URL?: string;
  /** Where api is reached from outside, such as `https://firewatch.example.org`: never called by ourselves. */
  PUBLIC_URL?: string;
}

interface World {
  fetch: EgressDeps["fetch"];
  now: Now;
}

/** The only place that takes the runtime's own `fetch`. */
const RUNTIME: World = { fetch: (url, init) => fetch(url, init), now: systemNow };

/** Throws TypeError, naming the setting, for one that cannot be read: an operator should hear of it at the start. */
export function egressFrom(settings: EgressSettings, log: EgressDeps["log"], world: World = RUNTIME): Egress {
  return createEgress({
    ...world,
    log,
    allow: readAllow(settings.EGRESS_ALLOW),
    resolve: settings.DOH_URL
      ? createDohResolver({ ...world, endpoint: readUrl("DOH_URL", settings.DOH_URL).href })
      : undefined,
    ownHosts: settings.PUBLIC_URL ? [readUrl("PUBLIC_URL", settings.PUBLIC_URL).hostname] : [],
  });
}

const Allow = z.strictObject({ hosts: z.array(z.string()).default([]), cidrs: z.array(z.string()).default([]) });

function readAllow(text: string | undefined): EgressDeps["allow"] {
  if (!text) return undefined;
  try {
    return Allow.parse(JSON.parse(text));
  } catch (cause) {
    throw new TypeError('EGRESS_ALLOW is not JSON like {"hosts":["name"],"cidrs":["10.0.0.0/8"]}', { cause });
  }
}

function readUrl(name: keyof EgressSettings, text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new TypeError(`${name} is not a URL: ${JSON.stringify(text)}`);
}
