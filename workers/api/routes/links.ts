/** Share links: made and revoked by people with a credential, opened by anybody who was given one. */
import { LinkId, LinkRequest, NewShareLink, ShareLink } from "../../../shared/contract/link.ts";
import { cursorOf, PageQuery, pageOf, z } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { given, json, noContent } from "../answers.ts";
import { type OpenCall, type Routes, requireScope } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";
import { onObjectsHost, serveObject } from "../serve.ts";

const tag = "Objects";
const links = "/v1/connections/{c}/links";
const bytes = {
  schema: z.string().openapi({ format: "binary" }),
  contentType: "application/octet-stream",
};

/** One answer for every link that does not open: unknown, expired, revoked, or its object is gone. */
const nowhere = (): Problem => new Problem("not_found", { detail: "This link leads nowhere, or no longer." });

export function linkRoutes({ guarded, open }: Routes): void {
  guarded(
    {
      id: "createLink",
      method: "post",
      path: links,
      tag,
      summary: "Share an object",
      description:
        "Whoever has the address may read this object, without a credential, until it expires or is revoked. The address says nothing about key or connection, and is in this answer only. With `etag` only this version is shared.",
      scope: "transfers:write",
      body: LinkRequest,
      bodyExample: EXAMPLE.linkRequest,
      answers: {
        201: { description: "Shared.", schema: NewShareLink, example: EXAMPLE.newLink },
        404: { description: "There is no such object." },
        412: { description: "Another version than `etag` is under the key." },
      },
    },
    async (call) => {
      await requireScope(call, "transfers:write");
      const { tracker, caller, connection, body, origin, deps, publicUrl } = call;
      const object = await deps.objects.head(`${connection}/${body.key}`);
      if (object === null) throw new Problem("not_found", { detail: "There is no object under this key." });
      if (body.etag !== undefined && body.etag !== object.httpEtag)
        throw new Problem("precondition_failed", { detail: "Another version is under this key." });
      const { link, token } = given(await tracker.addLink(caller, body, origin));
      const base = deps.objectsHost === undefined ? publicUrl : `${new URL(publicUrl).protocol}//${deps.objectsHost}`;
      return json(201, { ...link, url: `${base}/links/${token}` });
    },
  );

  guarded(
    {
      id: "listLinks",
      method: "get",
      path: links,
      tag,
      summary: "Links that still open, newest first",
      scope: "transfers:read",
      query: PageQuery.extend({ cursor: cursorOf(LinkId) }),
      answers: { 200: { description: "A page of links, without their addresses.", schema: pageOf(ShareLink) } },
    },
    async ({ tracker, caller, query }) => json(200, given(await tracker.links(caller, query))),
  );

  guarded(
    {
      id: "deleteLink",
      method: "delete",
      path: `${links}/{id}`,
      tag,
      summary: "Revoke a share link",
      scope: "transfers:write",
      answers: { 204: { description: "Revoked, at once." } },
    },
    async ({ tracker, caller, params, origin }) => {
      given(await tracker.removeLink(caller, params.id, origin));
      return noContent();
    },
  );

  open(
    {
      id: "openLink",
      method: "get",
      path: "/links/{token}",
      tag,
      summary: "Read a shared object",
      description:
        "Like reading the object itself: `Range` and conditions work, `HEAD` gives the headers alone. An unknown, expired or revoked link and one whose object is gone answer the same 404.",
      answers: {
        200: { ...bytes, description: "The bytes, as an attachment." },
        206: { ...bytes, description: "The range that was asked for." },
        304: { description: "Not modified." },
        412: { description: "A condition failed." },
        416: { description: "The range lies outside." },
      },
    },
    readShared,
  );
}

async function readShared({ deps, request, url, params, origin, facts }: OpenCall<unknown, { token: string }>) {
  const elsewhere = onObjectsHost(url, deps);
  if (elsewhere !== undefined) return elsewhere;
  const shared = await deps.poller.openLink(params.token, origin);
  if (shared === undefined) throw nowhere();
  facts.connection = shared.objectKey.split("/")[0] ?? "";
  try {
    return await serveObject(deps, request, shared.objectKey, shared.etag);
  } catch (error) {
    throw error instanceof Problem && error.code === "not_found" ? nowhere() : error;
  }
}
