/**
 * The v1 server: gateway (routes, tokens) and services in one Hono app, built over the hosts of a site. Mount it under any
 * prefix; paths below are `/status`, `/utilities`, `/compute`, `/storage`, `/tasks`, `/reservations`.
 */
import { Hono } from "hono";
import { enter, NO_ROUTE, UnknownSystemError } from "../access.ts";
import { ToolError } from "../host.ts";
import { TokenError } from "../oidc.ts";
import type { Site } from "../site.ts";
import { type Ctx, type Env, json, plainError, refusal } from "./answers.ts";
import { computeRoutes } from "./compute.ts";
import { externalRoutes } from "./external.ts";
import { Form, valueProblem } from "./input.ts";
import { internalRoutes } from "./internal.ts";
import { occasionOf } from "./occasion.ts";
import { statusRoutes } from "./status.ts";
import { TaskRunner } from "./task-runner.ts";
import { Tasks } from "./tasks.ts";
import { utilitiesRoutes } from "./utilities.ts";

/** What the gateway lets through, per service. */
const GATEWAY: Record<string, readonly string[]> = {
  status: ["GET"],
  utilities: ["GET", "POST", "PUT", "DELETE"],
  compute: ["GET", "POST", "DELETE"],
  storage: ["GET", "POST"],
  tasks: ["GET"],
  reservations: ["GET", "POST", "PUT", "DELETE"],
};

const TOKEN_ANSWERS = {
  missing: { message: "Unauthorized" },
  expired: { exp: "token expired" },
  malformed: { message: "Bad token; invalid JSON" },
  bad_signature: { message: "Invalid signature" },
};

export function createV1(site: Site, prefix = ""): Hono<Env> {
  const { quirks } = site;
  const tasks = new Tasks({
    store: site.store,
    now: () => site.clock.now(),
    storageLifeMs: site.limits.stagingTtlSeconds * 1000,
    computeLifeMs: site.limits.computeTaskSeconds * 1000,
    viewsDisagree: quirks === "1.16.6",
  });
  const runner = new TaskRunner(site, tasks);
  if (quirks === "none") tasks.endInterrupted();

  const app = new Hono<Env>().basePath(prefix);
  app.use("*", async (c, next) => {
    const [service = "", ...rest] = c.req.path.slice(prefix.length + 1).split("/");
    const isService = service === "tasks" || service === "reservations" || rest.length > 0;
    if (!isService || GATEWAY[service]?.includes(c.req.method) !== true) return json(c, 400, { message: "Invalid" });
    try {
      const authorization = c.req.header("authorization");
      c.set(
        "bearer",
        await site.oidc.verify(authorization?.startsWith("Bearer ") === true ? authorization : undefined),
      );
    } catch (error) {
      if (error instanceof TokenError) return json(c, 401, TOKEN_ANSWERS[error.problem]);
      throw error;
    }
    return await next();
  });

  app.route("/status", statusRoutes(site));
  app.route("/utilities", utilitiesRoutes(site));
  app.route("/compute", computeRoutes(site, runner));
  app.route("/storage/xfer-external", externalRoutes(site, runner));
  app.route("/storage/xfer-internal", internalRoutes(site, runner));
  for (const service of ["storage", "utilities", "tasks", "reservations"]) {
    app.get(`/${service}/status`, (c) => json(c, 200, { success: "ack" }));
  }
  for (const path of ["/tasks", "/tasks/"]) app.get(path, (c) => listTasks(c, tasks));
  app.get("/tasks/:id", (c) => singleTask(c, tasks));
  app.on(["GET", "POST", "PUT", "DELETE"], ["/reservations", "/reservations/:name"], (c) => refuseReservation(c, site));

  const known = app.routes.filter(({ method }) => method !== "ALL").map(({ path }) => pathPattern(path));
  app.notFound((c) => plainError(c as Ctx, quirks, known.some((pattern) => pattern.test(c.req.path)) ? 405 : 404));
  app.onError((_error, c) => plainError(c, quirks, 500));
  return app;
}

function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/:\w+/g, "[^/]+")}$`);
}

function listTasks(c: Ctx, tasks: Tasks): Response {
  const list = c.req.query("tasks");
  const problem = list === undefined ? undefined : valueProblem("tasks", list);
  if (problem !== undefined) return refusal(c, "Failed to retrieve tasks information", problem);
  return json(c, 200, { tasks: tasks.list(c.var.bearer.user, list?.split(",")) });
}

function singleTask(c: Ctx, tasks: Tasks): Response {
  const id = c.req.param("id") ?? "";
  const task = tasks.find(id);
  if (task === undefined) return json(c, 404, { error: `Task ${id} does not exist` });
  if (task.user !== c.var.bearer.user)
    return json(c, 403, { description: "Operation not permitted. Invalid task owner." });
  return json(c, 200, { task: tasks.single(task) });
}

/** The service is there, the site's tool for it is not. `error` and `description` have changed places. */
async function refuseReservation(c: Ctx, site: Site): Promise<Response> {
  const verb = { GET: "listing", POST: "creating", PUT: "updating", DELETE: "deleting" }[c.req.method] ?? "listing";
  const error = `Error ${verb} reservation`;
  const system = c.req.header("x-machine-name");
  if (system === undefined || system === "") return json(c, 400, { error, description: "No machine name given" });
  if (c.req.method === "POST" && !(await Form.of(c)).has("reservation"))
    return json(c, 400, { error, description: "'reservation' form data input missing" });
  try {
    await enter(site, system, c.var.bearer.user, occasionOf(c));
  } catch (reason) {
    if (reason instanceof UnknownSystemError)
      return json(c, 400, { error }, { "X-Machine-Does-Not-Exist": "Machine does not exist" });
    if (!(reason instanceof ToolError)) throw reason;
    if (reason.exitCode === NO_ROUTE)
      return json(c, 400, { error: `${error}s` }, { "X-Machine-Not-Available": "Machine is not available" });
    return json(c, 400, { error: `${error}s`, description: reason.stderr });
  }
  const description = "timeout: failed to run command 'rsvmgmt': No such file or directory";
  return json(c, 400, { error: verb === "listing" ? `${error}s` : error, description });
}
