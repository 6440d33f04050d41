/** Connections: one FirecREST deployment, one credential. Secrets go in and never come out. */
import { NewKey } from "./access.ts";
import { PRESET_NAMES } from "./presets.ts";
import { ConnectionName, Time, WebUrl, z } from "./words.ts";

const Secret = z.string().min(1).max(4096);

const ClientCredentials = z
  .strictObject({
    type: z.literal("client_credentials"),
    tokenUrl: WebUrl,
    clientId: z.string().min(1).max(512),
    clientSecret: Secret,
    method: z.enum(["client_secret_post", "client_secret_basic"]).optional(),
  })
  .openapi("ClientCredentials");

const ApiKeyAuth = z
  .strictObject({ type: z.literal("api_key"), tokenUrl: WebUrl, apiKey: Secret })
  .openapi("ApiKeyAuth");

/** What a connection may keep in object storage. What counts, and when: `docs/objects.md`. */
export const ObjectRules = z
  .strictObject({
    /** Objects are removed this many days after they were stored. Default: they are kept. */
    expireAfterDays: z.number().int().min(1).max(3650).optional(),
    /** Bytes that may be stored, together with those on their way. Default: no limit. */
    quotaBytes: z.number().int().min(1).optional(),
  })
  .openapi("ObjectRules");
export type ObjectRules = z.infer<typeof ObjectRules>;

/** `daint`, or one of its partitions: `daint/debug`. */
const Place = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,62}(\/[A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$/, "must be a system, or system/partition");

/** What jobs may ask for at most. FirecREST does not tell it, so whoever makes the connection may. */
export const JobLimits = z
  .record(
    Place,
    z.strictObject({
      timeLimitSeconds: z.number().int().min(1).optional(),
      memoryMiB: z.number().int().min(1).optional(),
    }),
  )
  .refine((limits) => Object.keys(limits).length <= 200, "must have at most 200 entries")
  .openapi("JobLimits");
export type JobLimits = z.infer<typeof JobLimits>;

const Common = {
  /** Requests a minute to FirecREST that this connection may make, everything included. Default 60. */
  requestsPerMinute: z.number().int().min(6).max(6000).optional(),
  /** Origins of the site's object store, where staged links may point. Default: learned from the first link of the site, then fixed. */
  storageOrigins: z.array(WebUrl).max(20).optional(),
  /** A project account for sites that demand one for transfer jobs. */
  account: z.string().max(128).optional(),
  objects: ObjectRules.optional(),
  /** By system, or system/partition: more is refused with 422, and chat proposes no more. */
  limits: JobLimits.optional(),
};

const Explicit = z.strictObject({
  api: z.enum(["v1", "v2"]),
  url: WebUrl,
  auth: z.discriminatedUnion("type", [ClientCredentials, ApiKeyAuth]),
  ...Common,
});
const Preset = z.strictObject({
  preset: z.enum(PRESET_NAMES),
  auth: z.union([
    z.strictObject({ clientId: z.string().min(1).max(512), clientSecret: Secret }),
    z.strictObject({ apiKey: Secret, tokenUrl: WebUrl.optional() }),
  ]),
  ...Common,
});

export const ConnectionRequest = z.union([Explicit, Preset]).openapi("ConnectionRequest");
export type ConnectionRequest = z.infer<typeof ConnectionRequest>;

export const SystemView = z
  .object({
    name: z.string(),
    available: z.boolean(),
    description: z.string(),
    fileSystems: z.array(z.object({ path: z.string(), defaultWorkDir: z.boolean() })).optional(),
  })
  .openapi("System");
export type SystemView = z.infer<typeof SystemView>;

/** A part of the site, as its own checks found it: a service of FirecREST (v1), or what a system needs (v2). */
export const ServiceView = z
  .object({
    name: z.string().openapi({ example: "daint/scheduler" }),
    system: z.string().optional(),
    available: z.boolean(),
    description: z.string(),
    /** Whether it, or the health check of its system, answered now; absent where it cannot be asked. */
    answers: z.boolean().optional(),
    checkedAt: Time.optional(),
  })
  .openapi("Service");
export type ServiceView = z.infer<typeof ServiceView>;

/** Nodes, partitions and reservations of a system, in the scheduler's words. */
export const NodeView = z
  .object({
    name: z.string(),
    states: z.array(z.string()),
    partitions: z.array(z.string()),
    features: z.array(z.string()),
  })
  .openapi("Node");
export const PartitionView = z
  .object({ name: z.string(), states: z.array(z.string()), cpus: z.number().optional(), nodes: z.number().optional() })
  .openapi("Partition");
export const ReservationView = z
  .object({
    name: z.string(),
    state: z.string().optional(),
    nodes: z.string().optional(),
    /** Only where the site tells times with their zone (v2). */
    startsAt: Time.optional(),
    endsAt: Time.optional(),
  })
  .openapi("Reservation");
export type MachinePart = "nodes" | "partitions" | "reservations";

export const ConnectionHealth = z.object({
  state: z.enum(["unknown", "healthy", "unhealthy"]),
  since: Time.optional(),
  /** What is wrong and what to do, in words. */
  detail: z.string().optional(),
  /** Systems with live jobs that do not answer, each left alone by itself; the others are followed as always. */
  failing: z.array(z.object({ system: z.string(), since: Time, detail: z.string() })).optional(),
});

export const Connection = z
  .object({
    name: z.string(),
    api: z.enum(["v1", "v2"]),
    url: z.string(),
    auth: z.object({ type: z.string(), tokenUrl: z.string(), clientId: z.string().optional() }),
    systems: z.array(SystemView),
    health: ConnectionHealth,
    tokenExpiresAt: Time.optional(),
    budget: z.object({ requestsPerMinute: z.number(), available: z.number(), pausedUntil: Time.optional() }),
    debts: z.object({ owed: z.number(), unreleasable: z.number() }),
    live: z.object({ jobs: z.number(), transfers: z.number(), deliveries: z.number() }),
    /** The rules, and what is there: counted every six hours, and kept up in between. */
    objects: z.object({
      ...ObjectRules.shape,
      objects: z.number().int(),
      bytes: z.number().int(),
      reservedBytes: z.number().int(),
      countedAt: Time.optional(),
    }),
    limits: JobLimits.optional(),
    createdAt: Time,
  })
  .openapi("Connection");
export type Connection = z.infer<typeof Connection>;

/** `ownerKey`: for who made it with an invitation, and in this answer only. */
export const MadeConnection = Connection.extend({ ownerKey: NewKey.optional() }).openapi("MadeConnection");
export type MadeConnection = z.infer<typeof MadeConnection>;

/** Lets one person make one connection and own it, so that its credential passes through nobody else's hands. */
export const InvitationRequest = z
  .strictObject({
    connection: ConnectionName,
    /** Default 72, at most 14 days. */
    hours: z.number().int().min(1).max(336).optional(),
  })
  .openapi("InvitationRequest");
export type InvitationRequest = z.infer<typeof InvitationRequest>;

/** The invitation is in this answer and nowhere else. */
export const Invitation = z
  .object({
    id: z.string(),
    connection: ConnectionName,
    invitation: z.string(),
    /** Where the person puts their connection, with the invitation as their Bearer token. */
    url: z.string(),
    expiresAt: Time,
  })
  .openapi("Invitation");
export type Invitation = z.infer<typeof Invitation>;

/** One that can still be used. */
export const OpenInvitation = Invitation.omit({ invitation: true, url: true })
  .extend({ createdAt: Time })
  .openapi("OpenInvitation");
export type OpenInvitation = z.infer<typeof OpenInvitation>;

/** What an invitation begins with; the rest is sealed. */
export const INVITATION_PREFIX = "fwi_";
