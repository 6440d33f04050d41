/** Connections and who may use them: keys, OIDC identities, the audit. */
import { AuditEntry, IdentityRequest, Key, KeyRequest, NewKey } from "../../../shared/contract/access.ts";
import {
  Connection,
  ConnectionRequest,
  Invitation,
  InvitationRequest,
  MadeConnection,
  OpenInvitation,
} from "../../../shared/contract/connection.ts";
import { ConnectionName, cursorOf, PageQuery, PlainName, pageOf, Time, z } from "../../../shared/contract/words.ts";
import { invalidInput } from "../../../shared/problem.ts";
import { given, json, noContent } from "../answers.ts";
import type { Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";

const tag = "Connections";
const connection = "/v1/connections/{c}";
const Listed = z.object({ name: ConnectionName, live: z.boolean() }).openapi("ConnectionSummary");
const RotatedKey = z.object({ kid: z.string(), previousValidUntil: Time }).openapi("RotatedSigningKey");
const Identity = IdentityRequest.extend({ name: z.string() }).openapi("Identity");
const ForceQuery = z.object({
  force: z.enum(["", "true", "1"]).optional().describe("Give up debts: staged files stay until they expire."),
});

export function connectionRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "listConnections",
      method: "get",
      path: "/v1/connections",
      tag,
      summary: "All connections of this deployment",
      scope: "admin",
      query: PageQuery,
      answers: { 200: { description: "A page of names.", schema: pageOf(Listed) } },
    },
    async ({ deps, query }) => json(200, await deps.poller.connections(query)),
  );

  guarded(
    {
      id: "putConnection",
      method: "put",
      path: connection,
      tag,
      summary: "Make a connection, or change it",
      description:
        "Secrets go in and are sealed; no answer ever holds them. A preset fills in the addresses of CSCS. With an invitation as the Bearer token the answer holds the owner's API key, once.",
      scope: "connection:admin",
      body: ConnectionRequest,
      bodyExample: EXAMPLE.connectionRequest,
      answers: {
        201: { description: "Made.", schema: MadeConnection, example: EXAMPLE.connection },
        200: { description: "Changed.", schema: Connection },
      },
    },
    async ({ tracker, caller, connection: name, body, origin }) => {
      const { created, connection: made } = given(await tracker.create(caller, name, body, origin));
      return json(created ? 201 : 200, made);
    },
  );

  guarded(
    {
      id: "createInvitation",
      method: "post",
      path: "/v1/invitations",
      tag,
      summary: "Let one person make one connection and own it",
      description:
        "So that nobody hands a secret to an administrator. The person puts their connection with the invitation as Bearer token, once, and gets the owner's API key.",
      scope: "admin",
      body: InvitationRequest,
      bodyExample: EXAMPLE.invitationRequest,
      answers: { 201: { description: "Made.", schema: Invitation, example: EXAMPLE.invitation } },
    },
    async ({ deps, body, publicUrl, origin }) => {
      const invitation = given(await deps.poller.invite(body, origin));
      return json(201, { ...invitation, url: `${publicUrl}/v1/connections/${invitation.connection}` });
    },
  );

  guarded(
    {
      id: "listInvitations",
      method: "get",
      path: "/v1/invitations",
      tag,
      summary: "Invitations that can still be used",
      scope: "admin",
      query: PageQuery,
      answers: { 200: { description: "A page, newest first.", schema: pageOf(OpenInvitation) } },
    },
    async ({ deps, query }) => json(200, await deps.poller.invitations(query)),
  );

  guarded(
    {
      id: "revokeInvitation",
      method: "delete",
      path: "/v1/invitations/{id}",
      tag,
      summary: "Call an invitation back",
      scope: "admin",
      answers: { 204: { description: "It opens nothing any more, at once." } },
    },
    async ({ deps, params, origin }) => {
      given(await deps.poller.revokeInvitation(params.id, origin));
      return noContent();
    },
  );

  guarded(
    {
      id: "getConnection",
      method: "get",
      path: connection,
      tag,
      summary: "Systems, health, budget and debts of a connection",
      scope: "jobs:read",
      answers: { 200: { description: "The connection.", schema: Connection, example: EXAMPLE.connection } },
    },
    async ({ tracker, caller }) => json(200, given(await tracker.describe(caller))),
  );

  guarded(
    {
      id: "deleteConnection",
      method: "delete",
      path: connection,
      tag,
      summary: "Remove a connection and everything it holds",
      description: "Refused while staged files are still to be released, unless `?force=true`.",
      scope: "connection:admin",
      query: ForceQuery,
      answers: { 204: { description: "Removed." } },
    },
    async ({ tracker, caller, query, origin }) => {
      given(await tracker.remove(caller, query.force !== undefined, origin));
      return noContent();
    },
  );

  guarded(
    {
      id: "rotateSigningKey",
      method: "post",
      path: `${connection}/signing-key/rotate`,
      tag,
      summary: "Sign with a new key",
      description:
        "The old public key stays in the connection's key set, so receipts that it signed still verify; callbacks carry both signatures until `previousValidUntil`.",
      scope: "connection:admin",
      answers: { 200: { description: "In use.", schema: RotatedKey } },
    },
    async ({ tracker, caller, origin }) => json(200, given(await tracker.rotateSigningKey(caller, origin))),
  );

  guarded(
    {
      id: "createKey",
      method: "post",
      path: `${connection}/keys`,
      tag,
      summary: "Make an API key",
      description:
        "The key is in this answer and nowhere else. Without `scopes` it may do everything except administer the connection.",
      scope: "connection:admin",
      body: KeyRequest,
      bodyExample: EXAMPLE.keyRequest,
      answers: { 201: { description: "Made.", schema: NewKey, example: EXAMPLE.newKey } },
    },
    async ({ tracker, caller, connection: name, body, origin }) => {
      const key = given(await tracker.addKey(caller, body, origin));
      return json(201, key, { location: `/v1/connections/${name}/keys/${key.id}` });
    },
  );

  guarded(
    {
      id: "listKeys",
      method: "get",
      path: `${connection}/keys`,
      tag,
      summary: "API keys, without the keys themselves",
      scope: "connection:admin",
      answers: { 200: { description: "All keys.", schema: pageOf(Key) } },
    },
    async ({ tracker, caller }) => json(200, given(await tracker.keys(caller))),
  );

  guarded(
    {
      id: "revokeKey",
      method: "delete",
      path: `${connection}/keys/{id}`,
      tag,
      summary: "Revoke an API key",
      scope: "connection:admin",
      answers: { 204: { description: "Revoked, at once." } },
    },
    async ({ tracker, caller, params, origin }) => {
      given(await tracker.revokeKey(caller, params.id, origin));
      return noContent();
    },
  );

  guarded(
    {
      id: "putIdentity",
      method: "put",
      path: `${connection}/identities/{name}`,
      tag,
      summary: "Let OIDC tokens with these claims in",
      description: "Bind claims that cannot change, such as `repository_id` or `project_id`; never a name alone.",
      scope: "connection:admin",
      body: IdentityRequest,
      bodyExample: EXAMPLE.identityRequest,
      answers: { 201: { description: "Made.", schema: Identity }, 200: { description: "Changed.", schema: Identity } },
    },
    async ({ tracker, caller, params, body, origin }) => {
      const { created, identity } = given(await tracker.putIdentity(caller, newName(params.name), body, origin));
      return json(created ? 201 : 200, identity);
    },
  );

  guarded(
    {
      id: "getIdentity",
      method: "get",
      path: `${connection}/identities/{name}`,
      tag,
      summary: "One OIDC binding",
      scope: "connection:admin",
      answers: { 200: { description: "The binding.", schema: Identity } },
    },
    async ({ tracker, caller, params }) => json(200, given(await tracker.identity(caller, params.name))),
  );

  guarded(
    {
      id: "deleteIdentity",
      method: "delete",
      path: `${connection}/identities/{name}`,
      tag,
      summary: "Remove an OIDC binding",
      scope: "connection:admin",
      answers: { 204: { description: "Removed." } },
    },
    async ({ tracker, caller, params, origin }) => {
      given(await tracker.removeIdentity(caller, params.name, origin));
      return noContent();
    },
  );

  guarded(
    {
      id: "getAudit",
      method: "get",
      path: `${connection}/audit`,
      tag,
      summary: "Who did what",
      scope: "connection:admin",
      query: PageQuery.extend({ cursor: cursorOf(z.string().regex(/^\d{1,15}$/)) }),
      answers: { 200: { description: "A page, newest first.", schema: pageOf(AuditEntry) } },
    },
    async ({ tracker, caller, query }) => json(200, given(await tracker.audit(caller, query))),
  );
}

/** The name of something new stands in the address: it is checked like a field of the body. Throws Problem. */
export function newName(name: string | undefined): string {
  const named = z.object({ name: PlainName }).safeParse({ name });
  if (!named.success) throw invalidInput(named.error, { name });
  return named.data.name;
}
