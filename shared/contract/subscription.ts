/** Receivers of events, and what became of each delivery. */
import { PlatformId, WorkspaceName } from "./chat.ts";
import { EventFilter } from "./filter.ts";
import { WebhookSecret } from "./job.ts";
import { EventType } from "./states.ts";
import { cursorOf, DeliveryId, EventId, JobId, PageQuery, SubscriptionId, Time, WebUrl, z } from "./words.ts";

/** Headers that a receiver's owner may not set: they carry meaning for HTTP, for the signature, or for the edge. */
const FORBIDDEN_HEADERS =
  /^(host|content-length|content-type|content-encoding|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|cookie|set-cookie|accept-encoding|user-agent|date|via|forwarded|webhook-.*|svix-.*|firewatch-.*|x-forwarded-.*|cf-.*|sec-.*|proxy-.*|traceparent|tracestate)$/i;

const HeaderName = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,64}$/, "must be 1 to 64 of A-Z, a-z, 0-9 and -")
  .refine((name) => !FORBIDDEN_HEADERS.test(name), "may not be set");

export const CustomHeaders = z
  .record(
    HeaderName,
    z
      .string()
      .max(1024)
      .regex(/^[\u0020-\u007e]*$/, "must be printable ASCII"),
  )
  .refine((h) => Object.keys(h).length <= 20, "must have at most 20 entries");

/** Into the first five events go one by one, as what people read: their URL or key is a secret of its own. */
const OUT_ONLY_CHANNELS = [
  "slack_webhook",
  "mattermost_webhook",
  "rocketchat_webhook",
  "teams_workflow",
  "email",
] as const;

/** What a receiver is: a program, a place where messages can only be left, or a channel in which our bot is. */
const CHANNELS = ["webhook", ...OUT_ONLY_CHANNELS, "slack", "mattermost"] as const;
export const Channel = z.enum(CHANNELS);
export type Channel = z.infer<typeof Channel>;

const Mailbox = z
  .string()
  .max(320)
  .regex(/^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+\.[^\s@<>,;:"()[\]\\]+$/, "must be an e-mail address");

/** `Firewatch <jobs@example.org>`, or the address alone. */
const Sender = z
  .string()
  .max(400)
  .regex(
    /^([^<>@"\u0000-\u001f,;]{1,70} <[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/,
    "must be an address, or Name <address>",
  );

/** How mail leaves: over the HTTP API of a provider. `url` of the subscription stands in for the provider's own address. */
export const EmailRequest = z
  .strictObject({
    provider: z.enum(["resend", "postmark", "sendgrid"]),
    apiKey: z
      .string()
      .min(8)
      .max(512)
      .regex(/^[\u0021-\u007e]+$/, "must be printable ASCII without spaces"),
    from: Sender,
    to: z.array(Mailbox).min(1).max(20),
  })
  .openapi("EmailRequest");

/** A channel of a chat workspace in which our bot is, by the platform's own id. */
export const ChatChannel = z.strictObject({ workspace: WorkspaceName, channel: PlatformId }).openapi("ChatChannel");

const isBot = (channel: Channel | undefined): boolean => channel === "slack" || channel === "mattermost";

export const SubscriptionRequest = z
  .strictObject({
    /** Default `webhook`. */
    channel: Channel.optional(),
    url: WebUrl.optional(),
    events: EventFilter.optional(),
    secret: WebhookSecret.optional(),
    headers: CustomHeaders.optional(),
    format: z.enum(["plain", "cloudevents"]).optional(),
    email: EmailRequest.optional(),
    chat: ChatChannel.optional(),
    /** Deliveries a minute at most. */
    ratePerMinute: z.number().int().min(1).max(6000).optional(),
  })
  .refine(({ channel, url }) => url !== undefined || channel === "email" || isBot(channel), {
    message: "is needed",
    path: ["url"],
  })
  .refine(({ channel, chat }) => (chat !== undefined) === isBot(channel), {
    message: "goes with channels slack and mattermost, and only with them",
    path: ["chat"],
  })
  .refine(({ channel, email }) => (email !== undefined) === (channel === "email"), {
    message: "goes with channel email, and only with it",
    path: ["email"],
  })
  .superRefine(({ channel = "webhook", secret, headers, format, url }, context) => {
    if (channel === "webhook") return;
    for (const [field, value] of Object.entries({ secret, headers, format, ...(isBot(channel) ? { url } : {}) }))
      if (value !== undefined)
        context.addIssue({ code: "custom", message: "is for channel webhook only", path: [field] });
  })
  .openapi("SubscriptionRequest");
export type SubscriptionRequest = z.infer<typeof SubscriptionRequest>;

export const SubscriptionPatch = z
  .strictObject({
    url: WebUrl.optional(),
    events: EventFilter.optional(),
    headers: CustomHeaders.optional(),
    format: z.enum(["plain", "cloudevents"]).optional(),
    ratePerMinute: z.number().int().min(1).max(6000).optional(),
    status: z.enum(["active", "paused"]).optional(),
  })
  .openapi("SubscriptionPatch");
export type SubscriptionPatch = z.infer<typeof SubscriptionPatch>;

export const Subscription = z
  .object({
    id: SubscriptionId,
    channel: Channel,
    /** Of channels other than `webhook` only as much as tells where it leads: the rest is the secret. */
    url: z.string(),
    events: z.array(z.string()),
    format: z.enum(["plain", "cloudevents"]),
    headers: z.record(z.string(), z.string()).optional(),
    email: EmailRequest.omit({ apiKey: true }).optional(),
    chat: z.object({ workspace: z.string(), channel: z.string().optional(), user: z.string().optional() }).optional(),
    ratePerMinute: z.number().int().optional(),
    status: z.enum(["active", "paused", "disabled"]),
    /** Why it is disabled. */
    reason: z.string().optional(),
    createdAt: Time,
    consecutiveFailures: z.number().int(),
    pending: z.number().int(),
  })
  .openapi("Subscription");
export type Subscription = z.infer<typeof Subscription>;

/** The secret is in this answer and nowhere else. Only what goes to a `webhook` is signed. */
export const NewSubscription = Subscription.extend({ secret: z.string().optional() }).openapi("NewSubscription");
export type NewSubscription = z.infer<typeof NewSubscription>;

export const RotateRequest = z
  .strictObject({ secret: WebhookSecret.optional(), overlapSeconds: z.number().int().min(0).max(604_800).optional() })
  .openapi("RotateRequest");
export type RotateRequest = z.infer<typeof RotateRequest>;

export const RecoverRequest = z.strictObject({ since: Time }).openapi("RecoverRequest");

/** `superseded`: people were, or will be, shown something newer about the same job instead. */
export const DELIVERY_STATUSES = [
  "pending",
  "delivered",
  "exhausted",
  "aborted",
  "held",
  "stuck",
  "superseded",
] as const;
export const DeliveryStatus = z.enum(DELIVERY_STATUSES);
export type DeliveryStatus = z.infer<typeof DeliveryStatus>;

export const Attempt = z
  .object({
    attempt: z.number().int(),
    at: Time,
    status: z.number().int().optional(),
    durationMs: z.number().int(),
    /** Of the answer's body, as far as it was read. */
    bytes: z.number().int().optional(),
    outcome: z.enum(["delivered", "retry", "disable", "abort"]),
    error: z.string().optional(),
    /** At most 4 KB of the answer, secrets masked. */
    excerpt: z.string().optional(),
    location: z.string().optional(),
    /** What was sent along: the trace of the request that the job or transfer came with, and the attempt's own span. */
    traceparent: z.string().optional(),
  })
  .openapi("Attempt");
export type Attempt = z.infer<typeof Attempt>;

export const Delivery = z
  .object({
    id: DeliveryId,
    event: EventId,
    type: EventType,
    sequence: z.number().int(),
    subscription: SubscriptionId.optional(),
    jobId: JobId.optional(),
    channel: z.string(),
    url: z.string(),
    status: DeliveryStatus,
    attempts: z.array(Attempt),
    nextAttemptAt: Time.optional(),
    createdAt: Time,
  })
  .openapi("Delivery");
export type Delivery = z.infer<typeof Delivery>;

export const DeliveriesQuery = PageQuery.extend({
  cursor: cursorOf(DeliveryId),
  subscription: SubscriptionId.optional(),
  job: JobId.optional(),
  status: DeliveryStatus.optional(),
});
export type DeliveriesQuery = z.infer<typeof DeliveriesQuery>;
