/** The api Worker. */
import { Problem } from "../../shared/problem.ts";
import { createApp } from "./app.ts";
import type { App } from "./endpoint.ts";
import { depsOf, type Env } from "./env.ts";

let app: App | undefined;

export default {
  async fetch(request, env, context) {
    try {
      app ??= createApp(depsOf(env));
    } catch (error) {
      // Not through our log: what is missing may be what it needs.
      return new Problem("unavailable", { detail: error instanceof Error ? error.message : undefined }).response();
    }
    return app.fetch(request, env, context);
  },
} satisfies ExportedHandler<Env>;
