/**
 * What a binding of CI tokens must hold on to, where the issuer is one that we know. A repository's or project's name can be
 * given up and taken by somebody else; its number cannot. Other issuers are their operator's own, and so are their claims.
 */
import type { z } from "./words.ts";

const LASTING: Readonly<Record<string, readonly string[]>> = {
  "https://token.actions.githubusercontent.com": ["repository_id", "repository_owner_id", "enterprise_id"],
  "https://gitlab.com": ["project_id", "namespace_id"],
};
/** What tokens of these issuers are made for when nobody says so: theirs, never ours. */
const DEFAULT_AUDIENCE = /^https:\/\/(github|gitlab)\.com(\/|$)/;

/** For `superRefine` of a schema with issuer, audience and claims. */
export function holdsOnToNumbers(
  { issuer, audience, claims }: { issuer: string; audience: string; claims: Readonly<Record<string, unknown>> },
  context: z.RefinementCtx,
): void {
  const known = issuer.replace(/\/$/, "");
  const lasting = Object.hasOwn(LASTING, known) ? LASTING[known] : undefined;
  if (lasting === undefined) return;
  if (!lasting.some((name) => Object.hasOwn(claims, name)))
    context.addIssue({
      code: "custom",
      path: ["claims"],
      message: `must bind ${lasting.join(" or ")}: names can be given up and taken by somebody else`,
    });
  if (DEFAULT_AUDIENCE.test(audience))
    context.addIssue({
      code: "custom",
      path: ["audience"],
      message: "must be one of your own, not the issuer's default",
    });
}
