import { describe, expect, it } from "vitest";
import * as access from "../../shared/contract/access.ts";
import * as chat from "../../shared/contract/chat.ts";
import { Connection, ConnectionRequest, Invitation, InvitationRequest } from "../../shared/contract/connection.ts";
import { Event } from "../../shared/contract/event.ts";
import { Hook, HookOutcome, HookRequestBody } from "../../shared/contract/hook.ts";
import { Job, JobRequest, ResubmitRequest, WatchRequest } from "../../shared/contract/job.ts";
import { LinkRequest, NewShareLink } from "../../shared/contract/link.ts";
import { Receipt } from "../../shared/contract/receipt.ts";
import { Subscription, SubscriptionRequest } from "../../shared/contract/subscription.ts";
import { Transfer, TransferRequest } from "../../shared/contract/transfer.ts";
import type { z } from "../../shared/contract/words.ts";
import { EXAMPLE } from "./examples.ts";
import { createWorld } from "./testing/world.ts";

const world = await createWorld();
const text = await (await world.send("/openapi.json")).text();
const document = JSON.parse(text) as {
  openapi: string;
  paths: Record<
    string,
    Record<
      string,
      {
        operationId: string;
        security: unknown[];
        responses: Record<string, { description: string; content?: Record<string, unknown> }>;
      }
    >
  >;
  components: { schemas: Record<string, unknown>; securitySchemes: unknown };
};
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));

const SCHEMAS: Record<keyof typeof EXAMPLE, z.ZodType> = {
  jobRequest: JobRequest,
  job: Job,
  resubmitRequest: ResubmitRequest,
  watchRequest: WatchRequest,
  transferRequest: TransferRequest,
  transfer: Transfer,
  receipt: Receipt,
  linkRequest: LinkRequest,
  newLink: NewShareLink,
  event: Event,
  connectionRequest: ConnectionRequest,
  connection: Connection,
  keyRequest: access.KeyRequest,
  newKey: access.NewKey,
  identityRequest: access.IdentityRequest,
  subscriptionRequest: SubscriptionRequest,
  newSubscription: Subscription,
  hookRequest: HookRequestBody,
  hook: Hook,
  hookOutcome: HookOutcome,
  invitationRequest: InvitationRequest,
  invitation: Invitation,
  workspaceRequest: chat.WorkspaceRequest,
  workspace: chat.Workspace,
  chatCodeRequest: chat.ChatCodeRequest,
  chatCode: chat.ChatCode,
  chatLink: chat.ChatLink,
};

describe("the API description", () => {
  it.each(Object.entries(SCHEMAS))("has an example of %s that its schema reads", (name, schema) => {
    expect(schema.safeParse(EXAMPLE[name as keyof typeof EXAMPLE]).error?.issues).toBeUndefined();
  });

  it("is OpenAPI 3.1, with a name of its own for every operation", () => {
    expect(document.openapi).toBe("3.1.0");
    const ids = operations.map(({ operationId }) => operationId);
    expect(ids.length).toBeGreaterThan(60);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("says of every guarded operation how it is refused, and of every 202 where to look", () => {
    for (const { security, responses } of operations) {
      if (security.length > 0) expect(Object.keys(responses)).toEqual(expect.arrayContaining(["401", "403", "429"]));
      const accepted = responses["202"];
      if (accepted) expect(JSON.stringify(accepted)).toContain("Location");
      const unauthorized = responses["401"];
      if (unauthorized) expect(unauthorized.content).toHaveProperty("application/problem+json");
    }
  });

  it("knows that a query cannot hold a null", () => {
    const parameters = operations.flatMap((operation) => Reflect.get(operation, "parameters") ?? []);
    expect(JSON.stringify(parameters)).toContain('"type":"integer"');
    expect(JSON.stringify(parameters)).not.toContain('"null"');
  });

  it("points at nothing that is not there", () => {
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty(name ?? "");
    expect(document.components.securitySchemes).toHaveProperty("bearer");
  });

  it("holds every route that the design names", () => {
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes).toEqual(
      expect.arrayContaining([
        "POST /hooks/{c}/{name}",
        "GET /v1/connections/{c}/objects/{key}",
        "PUT /v1/connections/{c}/uploads/{id}/{part}",
        "GET /v1/connections/{c}/systems/{s}/files/ls",
      ]),
    );
  });
});

describe("the docs page", async () => {
  const response = await world.send("/docs");
  const page = await response.text();

  it("shows every operation and schema, each under its own anchor", () => {
    for (const { operationId } of operations) expect(page).toContain(`<article id="${operationId}">`);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
  });

  it("loads nothing and runs nothing", () => {
    expect(page).not.toMatch(/<script|<link|<img|@import|url\(| on\w+=|src=/i);
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'; style-src 'unsafe-inline'");
  });

  it("lets no text of ours become markup", () => {
    expect(
      page.match(
        /<(?!\/?(html|head|meta|title|style|body|nav|a|h[1-4]|ul|li|b|main|header|p|span|code|section|article|i|details|summary|dl|dt|dd|table|thead|tbody|tr|th|td|sup|pre|hr)\b|!doctype)/,
      ),
    ).toBeNull();
  });
});
