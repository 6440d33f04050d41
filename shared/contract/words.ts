/**
 * The small words that every boundary shares: names, ids, times, paths, URLs.
 * Everything that crosses a boundary is declared once in this folder as a zod schema; its type is inferred from it.
 */
import { z } from "@hono/zod-openapi";

export { z };

/** A connection: one FirecREST deployment, one credential, and who may use it. */
export const ConnectionName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must be 1 to 63 of a-z, 0-9 and -, starting with a letter or digit")
  .openapi({ example: "cscs-hpc" });

/** A machine behind a connection. FirecREST v2 lower-cases its whole path, so names are lower case. */
export const SystemName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/, "must be 1 to 63 of a-z, 0-9, _, . and -")
  .openapi({ example: "daint" });

/** Job and hook names. The scheduler sees a job's name followed by its tag. */
export const PlainName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/, "must be 1 to 200 of A-Z, a-z, 0-9, _, . and -")
  .openapi({ example: "simulate" });

/** Accounts and the strings under `resources`: what sbatch takes, and nothing a shell would read. */
export const SchedulerWord = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.:,@&|*()[\]=-]{0,127}$/,
    "must be 1 to 128 of A-Z, a-z, 0-9 and _.:,@&|*()[]=-, starting with a letter or digit",
  );

/** RFC 3339 in UTC with `Z`, milliseconds. */
export const Time = z.iso.datetime({ precision: 3 }).openapi({ example: "2026-11-22T12:00:00.000Z" });

export const Sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits");

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Whether a string survives a trip through UTF-8: no lone surrogate. */
export function isWellFormed(text: string): boolean {
  return text.isWellFormed();
}

export const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length;

/**
 * A path on the HPC side, absolute or relative to the job's working directory. Only what no API can carry is refused
 * here; the class that each FirecREST operation needs is checked in `shared/firecrest/paths.ts`.
 */
export const HpcPath = z
  .string()
  .min(1, "must not be empty")
  .refine((p) => utf8Bytes(p) <= 4096, "must be at most 4096 bytes")
  .refine((p) => isWellFormed(p) && !CONTROL.test(p), "must not contain control characters")
  .refine((p) => !p.split("/").includes(".."), "must not contain ..")
  .openapi({ example: "results/out.nc" });

/** An object's key under its connection: UTF-8, no traversal, no control characters. */
export const ObjectKey = z
  .string()
  .min(1, "must not be empty")
  .refine((k) => utf8Bytes(k) <= 900, "must be at most 900 bytes")
  .refine((k) => isWellFormed(k) && !CONTROL.test(k), "must not contain control characters")
  .refine(
    (k) => k.split("/").every((segment) => segment !== "" && segment !== "." && segment !== ".."),
    "must not have empty, . or .. segments",
  )
  .openapi({ example: "runs/42/out.nc" });

/** An absolute http(s) URL without user info or fragment. Which hosts are allowed is decided by `shared/egress`. */
export const WebUrl = z
  .string()
  .max(2048)
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return (
      url !== undefined &&
      /^https?:$/.test(url.protocol) &&
      url.username === "" &&
      url.password === "" &&
      url.hash === ""
    );
  }, "must be an http(s) URL without user info or fragment")
  .openapi({ example: "https://example.org/callbacks" });

/** Ids look like what they are: `job_`, `tr_`, `evt_` … followed by 26 Crockford base32 characters that sort by time. */
export const idOf = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`), `must look like ${prefix}_…`);

export const JobId = idOf("job");
export const TransferId = idOf("tr");
export const EventId = idOf("evt");
export const SubscriptionId = idOf("sub");
export const DeliveryId = idOf("dlv");
export const KeyId = idOf("key");
export const RequestId = idOf("req");
export const EffectId = idOf("eff");

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), cursor: z.string().optional() });

/** Where the page before ended: the id of its last item, and nothing else, for a made-up one would silently skip items. */
export const cursorOf = (id: z.ZodString) =>
  z
    .string()
    .refine((cursor) => id.safeParse(cursor).success, "must be the cursor that the page before gave")
    .optional();

export const PageQuery = z.object({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).optional(),
});
export type PageQuery = z.infer<typeof PageQuery>;
