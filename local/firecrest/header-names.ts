/**
 * Header names as the real servers write them. HTTP does not care, clients do: pyfirecrest's `FcPath` looks for exactly
 * `X-Not-Found`. v1 and the staging area write names in title case, v2 in lower case.
 */
import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from "node:http";

/** `x-not-found` → `X-Not-Found`; `x-amz-…` is lower case on real object stores too. */
export function titleCase(name: string): string {
  if (name === "etag") return "ETag";
  if (name.startsWith("x-amz-")) return name;
  return name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** A response class for `createServer`; names keep their case where `isLowerCase` says so for the request's path. */
export function responseWithNames(isLowerCase: (path: string) => boolean): typeof ServerResponse<IncomingMessage> {
  return class extends ServerResponse {
    override writeHead(
      status: number,
      reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
      headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
    ): this {
      const given = typeof reason === "string" ? headers : (reason ?? headers);
      const isRecord = given !== undefined && !Array.isArray(given);
      const named =
        isRecord && !isLowerCase(this.req.url ?? "")
          ? Object.fromEntries(Object.entries(given).map(([name, value]) => [titleCase(name), value]))
          : given;
      return super.writeHead(status, named);
    }
  };
}
