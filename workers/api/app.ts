/** The entrance as a function: request in, answer out; everything else comes in through `deps`. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { Problem } from "../../shared/problem.ts";
import { createOidc } from "../../shared/webhooks/oidc.ts";
import type { Deps } from "./deps.ts";
import { type App, type AppEnv, createRoutes } from "./endpoint.ts";
import { createDoor } from "./inbound.ts";
import { addressOf, CALLERS, createTally, spend, tellQuota } from "./limits.ts";
import { adminRoutes } from "./routes/admin.ts";
import { chatRoutes } from "./routes/chat.ts";
import { connectionRoutes } from "./routes/connections.ts";
import { doorRoutes, pingRoute } from "./routes/door.ts";
import { eventRoutes } from "./routes/events.ts";
import { fileRoutes } from "./routes/files.ts";
import { hookTrialRoutes } from "./routes/hook-trials.ts";
import { hookRoutes } from "./routes/hooks.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { linkRoutes } from "./routes/links.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { objectRoutes } from "./routes/objects.ts";
import { schemaRoutes } from "./routes/schemas.ts";
import { serviceRoutes } from "./routes/service.ts";
import { subscriptionRoutes } from "./routes/subscriptions.ts";
import { transferRoutes } from "./routes/transfers.ts";
import { uploadRoutes } from "./routes/uploads.ts";
import { workspaceRoutes } from "./routes/workspaces.ts";

export function createApp(deps: Deps): App {
  const app: App = new OpenAPIHono<AppEnv>();
  const oidc = createOidc({ fetch: deps.fetch, now: deps.now });
  const door = createDoor(deps, oidc);
  const tally = createTally();
  const routes = createRoutes(app, deps, oidc, tally);

  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "An API key (`fw_…`), an OIDC token of a bound identity, or the deployment's ADMIN_TOKEN.",
  });
  app.use(oneLine(deps), fixedHeaders, objectsHostOnly(deps));
  const perAddress: MiddlewareHandler<AppEnv> = async (c, next) => {
    const address = addressOf(c.req.raw);
    if (address !== undefined) await spend(deps.callers, CALLERS, `address:${address}`);
    await next();
  };
  app.use("/v1/*", perAddress);
  app.use("/links/*", perAddress);
  app.use("/.well-known/*", perAddress);

  jobRoutes(routes);
  transferRoutes(routes);
  objectRoutes(routes);
  uploadRoutes(routes);
  linkRoutes(routes);
  eventRoutes(routes);
  schemaRoutes(routes);
  subscriptionRoutes(routes);
  doorRoutes(routes, door, tally);
  pingRoute(routes);
  hookRoutes(routes, door);
  hookTrialRoutes(routes, door);
  fileRoutes(routes);
  connectionRoutes(routes);
  adminRoutes(routes);
  workspaceRoutes(routes);
  chatRoutes(routes, deps);
  metricsRoutes(routes);
  serviceRoutes(routes, app);

  app.notFound((c) => {
    const allow = routes.methodsAt(c.req.path).join(", ");
    if (allow === "")
      return new Problem("not_found", { detail: "There is no such address; /docs lists all of them." }).response();
    const response = new Problem("method_not_allowed", { detail: `Use ${allow}.` }).response();
    response.headers.set("allow", allow);
    return response;
  });
  app.onError((error, c) => {
    const problem = error instanceof Problem ? error : unexpected(error);
    if (problem !== error) deps.log({ event: "request.failed", route: c.get("facts").route, error });
    return problem.response();
  });
  return app;
}

/** A Tracker that is being moved or is overloaded says so; everything else is our own mistake. */
function unexpected(error: Error): Problem {
  const isPassing = Reflect.get(error, "retryable") === true || Reflect.get(error, "overloaded") === true;
  return isPassing
    ? new Problem("unavailable", { detail: "Try again in a moment.", retryAfterSeconds: 1 })
    : new Problem("internal");
}

/** One log line for each request: which route, who, what came of it and how long it took. */
function oneLine(deps: Deps): MiddlewareHandler<AppEnv> {
  return async function request(c, next) {
    const startedAt = deps.now();
    c.set("facts", {});
    await next();
    const { quota, ...facts } = c.get("facts");
    if (quota !== undefined && !c.res.headers.has("ratelimit")) tellQuota(c.res.headers, quota);
    deps.log({
      event: "request",
      method: c.req.method,
      ...facts,
      status: c.res.status,
      durationMs: deps.now() - startedAt,
    });
  };
}

const FIXED_HEADERS = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "strict-transport-security": "max-age=31536000",
  "cache-control": "no-store",
};

/** For all answers that do not say otherwise. There are no CORS headers: no page of another origin reads anything here. */
const fixedHeaders: MiddlewareHandler<AppEnv> = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(FIXED_HEADERS)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
};

/** On the host that serves other people's bytes there is nothing else to reach. */
function objectsHostOnly(deps: Deps): MiddlewareHandler<AppEnv> {
  return async function objectsHost(c, next) {
    const isThere = deps.objectsHost !== undefined && new URL(c.req.url).host === deps.objectsHost;
    const isObject = /^(\/v1\/connections\/[^/]+\/objects|\/links)\/./.test(c.req.path);
    const isRead = isObject && ["GET", "HEAD"].includes(c.req.method);
    if (isThere && !isRead) throw new Problem("not_found");
    await next();
  };
}
