/** `/status`: systems, services, file systems, parameters. */
import { Hono } from "hono";
import { reach } from "../access.ts";
import { ToolError } from "../host.ts";
import type { Site } from "../site.ts";
import { type Ctx, type Env, json } from "./answers.ts";
import { occasionOf } from "./occasion.ts";

const VERSION = "1.16.6";
const MEGABYTE = 1024 * 1024;
const SERVICES = ["certificator", "compute", "utilities", "tasks", "storage", "reservations"];

export function statusRoutes(site: Site): Hono<Env> {
  const systemStatus = (c: Ctx, name: string) => {
    try {
      reach(site, name, occasionOf(c));
      return { system: name, status: "available", description: "System ready" };
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      const description = error.stderr === "Connection refused" ? "System does not accept connections" : "System down";
      return { system: name, status: "not available", description };
    }
  };
  const fileSystems = (c: Ctx, name: string) => {
    const isUp = systemStatus(c, name).status === "available";
    return (site.systems.get(name)?.fileSystems ?? []).map(({ path, description, dataType }) => ({
      name: dataType === "users" ? "HOME" : dataType.toUpperCase(),
      path,
      description,
      status: isUp ? "available" : "not available",
      status_code: isUp ? 200 : 400,
    }));
  };
  const service = (name: string) => ({
    service: name,
    status: "available",
    status_code: 200,
    description: "server up & flask running",
  });

  const app = new Hono<Env>();
  app.get("/systems", (c) => {
    const out = [...site.systems.keys()].map((name) => systemStatus(c, name));
    return json(c, 200, { description: "List of systems with status and description.", out });
  });
  app.get("/systems/:name", (c) => {
    const name = c.req.param("name");
    if (!site.systems.has(name)) return json(c, 404, { description: "System does not exists." });
    return json(c, 200, { description: "System information", out: systemStatus(c, name) });
  });
  app.get("/services", (c) =>
    json(c, 200, { description: "List of services with status and description.", out: SERVICES.map(service) }),
  );
  app.get("/services/:name", (c) => {
    const name = c.req.param("name");
    if (!SERVICES.includes(name)) return json(c, 404, { description: "Service does not exists", status_code: 404 });
    return json(c, 200, service(name));
  });
  app.get("/filesystems", (c) => {
    const out = Object.fromEntries([...site.systems.keys()].map((name) => [name, fileSystems(c, name)]));
    return json(c, 200, { description: "Filesystem information", out });
  });
  app.get("/filesystems/:name", (c) => {
    const name = c.req.param("name");
    const description = `Filesystem information for system ${name}`;
    if (!site.systems.has(name)) return json(c, 404, { description, out: `System '${name}' doesn't exist` });
    return json(c, 200, { description, out: fileSystems(c, name) });
  });
  app.get("/parameters", (c) => json(c, 200, { description: "Firecrest's parameters", out: parameters(site) }));
  return app;
}

function parameters(site: Site) {
  const { limits } = site;
  const parameter = (name: string, value: unknown, unit: string, description: string) => ({
    name,
    value,
    unit,
    description,
  });
  return {
    general: [
      parameter("FIRECREST_VERSION", VERSION, "", "FirecREST version."),
      parameter("FIRECREST_BUILD", "firewatch-local", "", "FirecREST build timestamp."),
    ],
    compute: [
      parameter("WORKLOAD_MANAGER", "Slurm", "", "Type of resource and workload manager used in compute microservice."),
    ],
    utilities: [
      parameter(
        "UTILITIES_MAX_FILE_SIZE",
        String(limits.directMaxBytes / MEGABYTE),
        "MB",
        "The maximum allowable file size for various operations of the utilities microservice.",
      ),
      parameter(
        "UTILITIES_TIMEOUT",
        String(limits.commandTimeoutSeconds),
        "seconds",
        "Maximum time duration for executing the commands in the cluster for the utilities microservice.",
      ),
    ],
    storage: [
      parameter("OBJECT_STORAGE", "s3v4", "", "Type of object storage, like `swift`, `s3v2` or `s3v4`."),
      parameter(
        "STORAGE_TEMPURL_EXP_TIME",
        String(limits.stagingTtlSeconds),
        "seconds",
        "Expiration time for temp URLs.",
      ),
      parameter(
        "STORAGE_MAX_FILE_SIZE",
        String(limits.stagingMaxBytes / MEGABYTE),
        "MB",
        "Maximum file size for temp URLs.",
      ),
      parameter(
        "FILESYSTEMS",
        [...site.systems].map(([system, host]) => ({ system, mounted: host.fileSystems.map(({ path }) => path) })),
        "",
        "Available filesystems through the API.",
      ),
    ],
  };
}
