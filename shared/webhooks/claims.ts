/** Which claims of a token open what: the same for hooks that take tokens and for identities that do. */

type ClaimValue = string | number | boolean;

/** Which claims a token must carry. A list means: any one of these. */
export type BoundClaims = Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>;

/**
 * Whether a token's claims are those of a binding: every bound claim is there and is one of its values. Numbers and texts of
 * the same digits are equal (GitHub writes ids as text, people write them as numbers); lists and objects in a token never
 * match. No bound claim at all matches nothing.
 */
export function claimsMatch(claims: Readonly<Record<string, unknown>>, bound: BoundClaims): boolean {
  const names = Object.keys(bound);
  return (
    names.length > 0 &&
    names.every((name) => {
      const actual = Object.hasOwn(claims, name) ? claims[name] : undefined;
      if (typeof actual !== "string" && typeof actual !== "number" && typeof actual !== "boolean") return false;
      return [bound[name]].flat().some((wanted) => wanted !== undefined && String(wanted) === String(actual));
    })
  );
}
