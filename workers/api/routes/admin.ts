/** What the operator of a deployment does to all of it. */
import { PageQuery, z } from "../../../shared/contract/words.ts";
import { json } from "../answers.ts";
import type { Routes } from "../endpoint.ts";

const Resealed = z
  .object({
    connections: z.number().int(),
    resealed: z.number().int().describe("Values that an older key had sealed."),
    unreadable: z.number().int().describe("Values that no key of this deployment opens; they stay as they are."),
    unfinished: z.array(z.string()).describe("Connections with more to do, or that could not be asked: call again."),
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
        "For ADMIN_TOKEN, after a new key was put first. Goes through the connections page by page (`limit`, default 10); repeat with `cursor` until there is none. It can be repeated and interrupted at will: what is done is left alone. When it answers `unreadable: 0`, nothing unfinished and no cursor, and a second pass `resealed: 0`, the older keys may go.",
      scope: "admin",
      query: PageQuery,
      answers: { 200: { description: "What was done to this page.", schema: Resealed } },
    },
    async ({ deps, query, origin }) => json(200, await deps.poller.reseal(query, origin)),
  );
}
