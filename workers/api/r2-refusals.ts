/** What R2 refuses, as the problem that the caller is told. */
import { Problem } from "../../shared/problem.ts";

/** R2's: every part but the last, all of the same size. */
export const MIN_PART_BYTES = 5 * 1024 * 1024;

/** R2 says what is wrong by a number at the end of its message. */
const REFUSALS: Record<string, Problem> = {
  10011: new Problem("invalid", {
    detail: `Every part but the last must have at least ${MIN_PART_BYTES} bytes.`,
    errors: [{ field: "/parts", message: "has a part that is too small" }],
  }),
  10024: new Problem("not_found"),
  10025: new Problem("invalid", {
    detail: "A part is missing or has another etag; give back what sending it answered.",
    errors: [{ field: "/parts", message: "names a part that is not there" }],
  }),
  10037: new Problem("invalid", {
    detail: "The body does not have the digest that the request says. Nothing was stored.",
    errors: [{ field: "Content-Digest", message: "is not that of the body" }],
  }),
  10048: new Problem("invalid", {
    detail: "All parts but the last must have the same size.",
    errors: [{ field: "/parts", message: "are not of the same size" }],
  }),
};

/** Throws Problem for what the caller can mend. */
export async function refusals<T>(step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    const code = /\((\d{5})\)$/.exec(error instanceof Error ? error.message : "")?.[1];
    throw (code !== undefined && REFUSALS[code]) || error;
  }
}
