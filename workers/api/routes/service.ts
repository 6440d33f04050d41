/** What belongs to no connection: public keys, health, the API description, and a friendly front page. */
import { z } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { json } from "../answers.ts";
import { docsPage } from "../docs.ts";
import type { App, Routes } from "../endpoint.ts";
import { openApiDocument } from "../openapi.ts";

const tag = "Service";
const Jwks = z.object({ keys: z.array(z.record(z.string(), z.unknown())) }).openapi("JsonWebKeySet");

/** A page without scripts: only its own styles. */
const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

export function serviceRoutes({ open }: Routes, app: App): void {
  let described: ReturnType<typeof openApiDocument> | undefined;
  /** Made once, when all routes are there; only the address of the server differs. */
  const describedAt = (url: string) => {
    described ??= openApiDocument(app, url);
    return { ...described, servers: [{ url }] };
  };

  open(
    {
      id: "getWebhookKeys",
      method: "get",
      path: "/.well-known/webhook-keys/{c}",
      tag,
      summary: "Public keys of a connection's callbacks",
      description: "For verifying `v1a` signatures. Each connection signs with its own key.",
      answers: { 200: { description: "A JSON Web Key Set.", schema: Jwks, contentType: "application/jwk-set+json" } },
    },
    async ({ deps, params }) => {
      const connection = params.c;
      const keys = /^[a-z0-9][a-z0-9-]{0,62}$/.test(connection)
        ? await deps.tracker(connection).webhookKeys()
        : undefined;
      if (keys === undefined) throw new Problem("not_found");
      return json(200, keys, { "content-type": "application/jwk-set+json", "cache-control": "public, max-age=300" });
    },
  );

  open(
    {
      id: "getHealth",
      method: "get",
      path: "/health",
      tag,
      summary: "Whether the entrance answers",
      answers: { 200: { description: "It does.", schema: z.object({ status: z.literal("ok") }) } },
    },
    () => json(200, { status: "ok" }),
  );

  open(
    {
      id: "getOpenApi",
      method: "get",
      path: "/openapi.json",
      tag,
      summary: "This description as OpenAPI 3.1",
      answers: { 200: { description: "The document.", schema: z.unknown() } },
    },
    ({ publicUrl }) => json(200, describedAt(publicUrl), { "cache-control": "public, max-age=300" }),
  );

  open(
    {
      id: "getDocs",
      method: "get",
      path: "/docs",
      tag,
      summary: "This description as a page",
      answers: { 200: { description: "HTML.", schema: z.string(), contentType: "text/html" } },
    },
    ({ publicUrl }) =>
      new Response(docsPage(describedAt(publicUrl)), {
        headers: { ...PAGE_HEADERS, "cache-control": "public, max-age=300" },
      }),
  );

  open(
    {
      id: "getLanding",
      method: "get",
      path: "/",
      tag,
      summary: "Where to go from here",
      answers: { 200: { description: "Links.", schema: z.record(z.string(), z.string()) } },
    },
    ({ request, publicUrl }) => {
      const wantsPage = request.headers.get("accept")?.includes("text/html") === true;
      if (wantsPage) return new Response(null, { status: 302, headers: { location: "/docs" } });
      return json(200, {
        name: "Firewatch",
        description: "Turns FirecREST, which has to be polled, into something that calls you.",
        docs: `${publicUrl}/docs`,
        openapi: `${publicUrl}/openapi.json`,
        health: `${publicUrl}/health`,
      });
    },
  );
}
