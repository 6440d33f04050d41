/** Callbacks: receivers of events, and what became of each delivery. */
import {
  DeliveriesQuery,
  Delivery,
  NewSubscription,
  RecoverRequest,
  RotateRequest,
  Subscription,
  SubscriptionPatch,
  SubscriptionRequest,
} from "../../../shared/contract/subscription.ts";
import { pageOf, Time, z } from "../../../shared/contract/words.ts";
import { given, json, noContent } from "../answers.ts";
import type { Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";

const tag = "Callbacks";
const subscriptions = "/v1/connections/{c}/subscriptions";
const subscription = `${subscriptions}/{id}` as const;
const LOCATION = { Location: "Where what becomes of it is read." };
const Rotated = z.object({ secret: z.string(), previousValidUntil: Time }).openapi("RotatedSecret");
const Recovered = z.object({ scheduled: z.number().int() }).openapi("Recovered");

const deliveriesOf = (connection: string, filter: string): string =>
  `/v1/connections/${connection}/deliveries?${filter}`;

export function subscriptionRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "subscribe",
      method: "post",
      path: subscriptions,
      tag,
      summary: "Have events sent to a URL, or shown to people",
      description:
        "To a `webhook` (the default) they go signed as Standard Webhooks; the secret is in this answer and nowhere else. Without `events` it gets `job.*`. Every other `channel` gets messages for people: incoming webhooks of Slack, Mattermost and Rocket.Chat, Teams workflows and mailboxes, whose URL or key is kept sealed and never shown; and, with `chat`, a channel in which the workspace's bot keeps one message per job up to date.",
      scope: "hooks:admin",
      body: SubscriptionRequest,
      bodyExample: EXAMPLE.subscriptionRequest,
      repeatable: true,
      answers: {
        201: {
          description: "Made, and active.",
          schema: NewSubscription,
          example: EXAMPLE.newSubscription,
          headers: { Location: "Where the subscription is read." },
        },
      },
    },
    async ({ tracker, caller, connection, body, origin, idempotency }) => {
      const made = given(
        await tracker.subscribe(caller, body, idempotency === undefined ? { origin } : { origin, idempotency }),
      );
      return json(201, made, { location: `/v1/connections/${connection}/subscriptions/${made.id}` });
    },
  );

  guarded(
    {
      id: "listSubscriptions",
      method: "get",
      path: subscriptions,
      tag,
      summary: "All receivers",
      scope: "hooks:admin",
      answers: { 200: { description: "All subscriptions.", schema: pageOf(Subscription) } },
    },
    async ({ tracker, caller }) => json(200, given(await tracker.subscriptions(caller))),
  );

  guarded(
    {
      id: "getSubscription",
      method: "get",
      path: subscription,
      tag,
      summary: "One receiver",
      scope: "hooks:admin",
      answers: { 200: { description: "The subscription.", schema: Subscription } },
    },
    async ({ tracker, caller, params }) => json(200, given(await tracker.subscription(caller, params.id))),
  );

  guarded(
    {
      id: "changeSubscription",
      method: "patch",
      path: subscription,
      tag,
      summary: "Change, pause or activate a receiver",
      scope: "hooks:admin",
      body: SubscriptionPatch,
      bodyExample: { status: "paused" },
      answers: { 200: { description: "The subscription as it is now.", schema: Subscription } },
    },
    async ({ tracker, caller, params, body, origin }) =>
      json(200, given(await tracker.changeSubscription(caller, params.id, body, origin))),
  );

  guarded(
    {
      id: "unsubscribe",
      method: "delete",
      path: subscription,
      tag,
      summary: "Remove a receiver",
      scope: "hooks:admin",
      answers: { 204: { description: "Removed." } },
    },
    async ({ tracker, caller, params, origin }) => {
      given(await tracker.removeSubscription(caller, params.id, origin));
      return noContent();
    },
  );

  guarded(
    {
      id: "rotateSecret",
      method: "post",
      path: `${subscription}/rotate`,
      tag,
      summary: "Get a new signing secret",
      description: "Old and new secret both sign for a while (default 24 h), so nothing is refused meanwhile.",
      scope: "hooks:admin",
      body: RotateRequest,
      bodyOptional: true,
      bodyExample: { overlapSeconds: 3600 },
      answers: { 200: { description: "The new secret, here and nowhere else.", schema: Rotated } },
    },
    async ({ tracker, caller, params, body, origin }) =>
      json(200, given(await tracker.rotateSecret(caller, params.id, body, origin))),
  );

  guarded(
    {
      id: "testSubscription",
      method: "post",
      path: `${subscription}/test`,
      tag,
      summary: "Send a test event",
      scope: "hooks:admin",
      answers: { 202: { description: "On its way.", schema: Delivery, headers: LOCATION } },
    },
    async ({ tracker, caller, connection, params, origin }) => {
      const delivery = given(await tracker.testSubscription(caller, params.id, origin));
      return json(202, delivery, { location: deliveriesOf(connection, `subscription=${params.id}`) });
    },
  );

  guarded(
    {
      id: "recoverSubscription",
      method: "post",
      path: `${subscription}/recover`,
      tag,
      summary: "Send again what this receiver never got",
      scope: "hooks:admin",
      body: RecoverRequest,
      bodyExample: { since: "2026-11-22T00:00:00.000Z" },
      answers: { 202: { description: "How many are on their way.", schema: Recovered, headers: LOCATION } },
    },
    async ({ tracker, caller, connection, params, body, origin }) =>
      json(202, given(await tracker.recover(caller, params.id, body.since, origin)), {
        location: deliveriesOf(connection, `subscription=${params.id}`),
      }),
  );

  guarded(
    {
      id: "listDeliveries",
      method: "get",
      path: "/v1/connections/{c}/deliveries",
      tag,
      summary: "Deliveries with all their attempts",
      scope: "jobs:read",
      query: DeliveriesQuery,
      answers: { 200: { description: "A page, newest first.", schema: pageOf(Delivery) } },
    },
    async ({ tracker, caller, query }) => json(200, given(await tracker.deliveries(caller, query))),
  );

  guarded(
    {
      id: "resendDelivery",
      method: "post",
      path: "/v1/connections/{c}/deliveries/{id}/resend",
      tag,
      summary: "Send one delivery again, now",
      scope: "hooks:admin",
      answers: { 202: { description: "On its way.", schema: Delivery, headers: LOCATION } },
    },
    async ({ tracker, caller, connection, params, origin }) => {
      const delivery = given(await tracker.resend(caller, params.id, origin));
      const receiver =
        delivery.subscription === undefined ? `job=${delivery.jobId ?? ""}` : `subscription=${delivery.subscription}`;
      return json(202, delivery, { location: deliveriesOf(connection, receiver) });
    },
  );
}
