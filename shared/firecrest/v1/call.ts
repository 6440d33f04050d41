/** One v1 request: the system in `X-Machine-Name`, arguments in the query or in a form, never JSON. */
import { given } from "../decode.ts";
import type { Guard } from "../guard.ts";
import type { ClientDeps } from "../port.ts";
import { createTransport, type SiteAnswer } from "../transport.ts";
import { refusal } from "./refusals.ts";

/** `/status` is cached for 16 minutes on the site, for all users together. */
export const UNCACHED = { "cache-control": "no-cache" };

export interface V1Request {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Without the parameters: `/utilities/stat`. It is also the word in the log, unless `operation` says otherwise. */
  path: string;
  operation?: string;
  system?: string;
  /** Absent values are left out: an empty one would be an error. */
  query?: Record<string, string | undefined>;
  form?: Record<string, string | undefined>;
  file?: { name: string; content: string | Uint8Array<ArrayBuffer> };
  headers?: Record<string, string>;
  effect: boolean;
  expect?: "json" | "bytes" | "nothing";
}

/** Throws `FirecrestError` for every answer outside 2xx. */
export type Call = (request: V1Request) => Promise<SiteAnswer>;

/** What the operations of one deployment have in common. */
export interface Site {
  deps: ClientDeps;
  call: Call;
  guard: Guard;
}

export function createCall(deps: ClientDeps): Call {
  const send = createTransport(deps);
  return async (request) => {
    const operation = (request.operation ?? request.path).replace(/^\//, "");
    const answer = await send({
      operation,
      method: request.method,
      path: request.path,
      effect: request.effect,
      headers: { ...given({ "x-machine-name": request.system }), ...request.headers },
      ...given({ query: request.query, expect: request.expect, body: bodyOf(request) }),
    });
    if (!answer.ok) throw refusal(operation, answer, request.effect);
    return answer;
  };
}

function bodyOf({ form, file }: V1Request): FormData | URLSearchParams | undefined {
  const fields = Object.entries(form ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (file === undefined) return form === undefined ? undefined : new URLSearchParams(fields);
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  body.append("file", new Blob([file.content]), file.name);
  return body;
}
