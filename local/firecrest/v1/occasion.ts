import type { Occasion } from "../faults.ts";
import type { Ctx } from "./answers.ts";

/** What faults are matched against: the request as it came to the server. */
export function occasionOf(c: Ctx): Occasion {
  const url = new URL(c.req.url);
  return { method: c.req.method, path: url.pathname + url.search };
}
