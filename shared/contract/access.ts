/** Who may do what on a connection. */
import { holdsOnToNumbers } from "./lasting-claims.ts";
import { KeyId, PlainName, Time, z } from "./words.ts";

export const SCOPES = [
  "jobs:read",
  "jobs:write",
  "transfers:read",
  "transfers:write",
  "files:read",
  "files:write",
  "hooks:admin",
  "connection:admin",
] as const;
export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;

/** `transfers:*` and `files:*` stand for both of theirs. */
export const ScopeRequest = z
  .array(z.enum([...SCOPES, "jobs:*", "transfers:*", "files:*"]))
  .min(1)
  .max(20)
  .transform((scopes): Scope[] =>
    SCOPES.filter((scope) => scopes.some((s) => s === scope || (s.endsWith(":*") && scope.startsWith(s.slice(0, -1))))),
  );

/** A key made without `scopes` may do everything except administer its connection. */
export const DEFAULT_SCOPES: readonly Scope[] = SCOPES.filter((scope) => scope !== "connection:admin");

export const KeyRequest = z
  .strictObject({
    name: PlainName,
    scopes: ScopeRequest.optional(),
    systems: z.array(z.string()).max(50).optional(),
    /** `hooks:admin` for these hooks only, and for nothing else that it covers. */
    hooks: z.array(PlainName).max(50).optional(),
    expiresAt: Time.optional(),
  })
  .openapi("KeyRequest");
export type KeyRequest = z.infer<typeof KeyRequest>;

export const Key = z
  .object({
    id: KeyId,
    name: z.string(),
    scopes: z.array(Scope),
    systems: z.array(z.string()).optional(),
    hooks: z.array(z.string()).optional(),
    createdAt: Time,
    expiresAt: Time.optional(),
    revokedAt: Time.optional(),
    lastUsedDay: z.string().optional(),
  })
  .openapi("Key");
export type Key = z.infer<typeof Key>;

/** The key itself is in this answer and nowhere else. */
export const NewKey = Key.extend({ apiKey: z.string() }).openapi("NewKey");
export type NewKey = z.infer<typeof NewKey>;

const ClaimValue = z.union([z.string().max(512), z.number(), z.boolean()]);

/** An OIDC binding: tokens of this issuer with these (immutable) claims act with these scopes. */
export const IdentityRequest = z
  .strictObject({
    issuer: z
      .string()
      .max(512)
      .regex(/^https?:\/\//, "must be a URL"),
    audience: z.string().min(1).max(512),
    claims: z
      .record(z.string().max(128), z.union([ClaimValue, z.array(ClaimValue).min(1).max(50)]))
      .refine((c) => Object.keys(c).length > 0, "must bind at least one claim"),
    scopes: ScopeRequest.optional(),
    systems: z.array(z.string()).max(50).optional(),
    hooks: z.array(PlainName).max(50).optional(),
  })
  .superRefine(holdsOnToNumbers)
  .openapi("IdentityRequest");
export type IdentityRequest = z.infer<typeof IdentityRequest>;

export const AuditEntry = z
  .object({ at: Time, actor: z.string(), act: z.string(), subject: z.string(), origin: z.string().optional() })
  .openapi("AuditEntry");
export type AuditEntry = z.infer<typeof AuditEntry>;

/** How a request proved who it is; the Tracker decides what that may do. */
export type Caller =
  | { kind: "admin" }
  | { kind: "key"; hash: string }
  | { kind: "oidc"; issuer: string; audience: string[]; claims: Record<string, unknown> }
  | { kind: "hook"; name: string }
  /** Somebody who may make this one connection; the poller opens the invitation. */
  | { kind: "invitation"; invitation: string }
  /** A person in a workspace, vouched for by the platform's own proof. */
  | { kind: "chat"; workspace: string; user: string };
