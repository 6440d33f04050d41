/** Connections: one FirecREST deployment, one credential. Secrets go in and never come out. */
import { NewKey } from "./access.ts";
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

export const PRESETS = ["cscs-hpc", "cscs-ml", "cscs-cw"] as const;

const Common = {
  /** Requests a minute to FirecREST that this connection may make, everything included. Default 60. */
  requestsPerMinute: z.number().int().min(6).max(6000).optional(),
  /** Origins of the site's object store, where staged links may point. Default: learned from the first link of the site, then fixed. */
  storageOrigins: z.array(WebUrl).max(20).optional(),
  /** A project account for sites that demand one for transfer jobs. */
  account: z.string().max(128).optional(),
};

const Explicit = z.strictObject({
  api: z.enum(["v1", "v2"]),
  url: WebUrl,
  auth: z.discriminatedUnion("type", [ClientCredentials, ApiKeyAuth]),
  ...Common,
});
const Preset = z.strictObject({
  preset: z.enum(PRESETS),
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

export const ConnectionHealth = z.object({
  state: z.enum(["unknown", "healthy", "unhealthy"]),
  since: Time.optional(),
  /** What is wrong and what to do, in words. */
  detail: z.string().optional(),
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

/** What an invitation begins with; the rest is sealed. */
export const INVITATION_PREFIX = "fwi_";
