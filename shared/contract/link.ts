/** Share links: one object for whoever has the link, until it expires or is revoked. */
import { idOf, ObjectKey, Time, z } from "./words.ts";

const DAY_SECONDS = 86_400;
export const LINK_SECONDS = { default: 7 * DAY_SECONDS, min: 60, max: 365 * DAY_SECONDS } as const;

export const LinkId = idOf("lnk");

/** With its quotes, as `ETag` and the listing show it. */
const Etag = z.string().regex(/^"[\x21\x23-\x7e]{1,128}"$/, "must be an ETag in its quotes");

export const LinkRequest = z
  .strictObject({
    key: ObjectKey,
    /** Default a week. */
    expiresInSeconds: z.number().int().min(LINK_SECONDS.min).max(LINK_SECONDS.max).optional(),
    /** Only this version: another object under the same key is not shared. Default: whatever is under the key. */
    etag: Etag.optional(),
  })
  .openapi("LinkRequest");
export type LinkRequest = z.infer<typeof LinkRequest>;

export const ShareLink = z
  .object({
    id: LinkId,
    key: z.string(),
    etag: z.string().optional(),
    createdBy: z.string(),
    createdAt: Time,
    expiresAt: Time,
    /** To the hour. */
    lastOpenedAt: Time.optional(),
  })
  .openapi("ShareLink");
export type ShareLink = z.infer<typeof ShareLink>;

/** The address is in this answer and nowhere else. */
export const NewShareLink = ShareLink.extend({ url: z.string() }).openapi("NewShareLink");

/** What an open link leads to. `objectKey` is a full key (`<connection>/<key>`); `etag` binds it to one version. */
export interface SharedObject {
  objectKey: string;
  etag?: string;
}
