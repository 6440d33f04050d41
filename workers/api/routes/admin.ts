/** What the operator of a deployment does to all of it. */
import { AuditEntry } from "../../../shared/contract/access.ts";
import { PageQuery, pageOf, Time, z } from "../../../shared/contract/words.ts";
import { json } from "../answers.ts";
import type { Routes } from "../endpoint.ts";

const Resealed = z
  .object({
    connections: z.number().int(),
    workspaces: z.number().int().describe("Chat workspaces; all of them with the last connections."),
    resealed: z.number().int().describe("Values that an older key had sealed."),
    unreadable: z.number().int().describe("Values that no key of this deployment opens; they stay as they are."),
    unfinished: z
      .array(z.string())
      .describe("Connections (and `workspaces/<name>`) with more to do, or that could not be asked: call again."),
    held: z
      .object({ links: z.number().int(), invitations: z.number().int(), until: Time.optional() })
      .describe("What people hold that an older key sealed: it ends with that key, or by itself at `until`."),
    cursor: z.string().optional().describe("The next connections; absent after the last ones."),
  })
  .openapi("Resealed");

export function adminRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "reseal",
      method: "post",
      path: "/v1/admin/reseal",
      tag: "Service",
      summary: "Seal everything again with the first key of SEAL_KEYS",
      description:
        "For ADMIN_TOKEN, after a new key was put first. Goes through the connections page by page (`limit`, default 10); repeat with `cursor` until there is none. It can be repeated and interrupted at will: what is done is left alone. When it answers `unreadable: 0`, nothing unfinished and no cursor, and a second pass `resealed: 0`, the older keys may go; share links and invitations under `held` end with them.",
      scope: "admin",
      query: PageQuery,
      answers: { 200: { description: "What was done to this page.", schema: Resealed } },
    },
    async ({ deps, query, origin }) => json(200, await deps.poller.reseal(query, origin)),
  );

  guarded(
    {
      id: "getDeploymentAudit",
      method: "get",
      path: "/v1/admin/audit",
      tag: "Service",
      summary: "What was done to the deployment itself",
      description:
        "Invitations, chat workspaces, removed connections, new sealing keys. What happens in a connection is in its own audit.",
      scope: "admin",
      query: PageQuery,
      answers: { 200: { description: "A page, newest first.", schema: pageOf(AuditEntry) } },
    },
    async ({ deps, query }) => json(200, await deps.poller.audit(query)),
  );
}
