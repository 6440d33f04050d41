/** FirecREST's own services: as the site's status service last found them, and whether each answers now. */
import { fieldsOf, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { Firecrest, Heartbeat, ServiceStatus } from "../port.ts";
import { type Call, UNCACHED } from "./call.ts";

/** Those that answer for themselves. */
const WITH_HEARTBEAT = ["compute", "storage", "utilities", "tasks", "reservations"];
const NAME = /^[a-z][a-z0-9_-]{0,63}$/;

export function createServices(call: Call): Pick<Firecrest, "services" | "service" | "heartbeats"> {
  const status = async (path: string) =>
    fieldsOf(
      (await call({ method: "GET", path, operation: "/status/services", headers: UNCACHED, effect: false })).body,
    );
  return {
    async services() {
      const { out } = await status("/status/services");
      return (Array.isArray(out) ? out : []).flatMap((row) => serviceOf(fieldsOf(row)) ?? []);
    },
    async service(name) {
      if (!NAME.test(name)) throw unknownService(name);
      const body = await status(`/status/services/${name}`);
      const found = serviceOf("service" in body ? body : fieldsOf(body.out));
      if (found === undefined) throw unknownService(name);
      return found;
    },
    heartbeats: () => Promise.all(WITH_HEARTBEAT.map((name) => beat(call, name))),
  };
}

const unknownService = (name: string): FirecrestError =>
  new FirecrestError(`the site has no service ${name}`, { code: "not_found", retry: "never" });

function serviceOf(row: Record<string, unknown>): ServiceStatus | undefined {
  const name = text(row.service);
  if (name === undefined) return undefined;
  return { name, available: row.status === "available", description: text(row.description) ?? "" };
}

/** A site may have left a service out, and one that is down is hidden behind the gateway: both do not answer. */
async function beat(call: Call, name: string): Promise<Heartbeat> {
  try {
    await call({ method: "GET", path: `/${name}/status`, effect: false });
    return { name, alive: true };
  } catch (error) {
    const silent = error instanceof FirecrestError && !["unauthorized", "rate_limited", "network"].includes(error.code);
    if (!silent || error.code.startsWith("token_")) throw error;
    return { name, alive: false };
  }
}
