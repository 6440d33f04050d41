/** Calls one of the operations: fills its route, sends it, and gives back what its answer means. */
import { FirecrestError } from "../errors.ts";
import type { ClientDeps } from "../port.ts";
import { createTransport, type SiteAnswer } from "../transport.ts";
import { type Operation, wordFor } from "./operations.ts";
import { refusal } from "./refusals.ts";

export interface CallInput {
  system?: string;
  /** Job id; the server takes letters and digits only. */
  id?: string;
  /** Absent values are left out. */
  query?: Record<string, string | undefined>;
  json?: unknown;
  form?: FormData;
}

export interface Calls {
  /** Throws `FirecrestError`. */
  call<T>(operation: Operation<T>, input: CallInput): Promise<T>;
  bytes(operation: Operation<void>, input: CallInput): Promise<Uint8Array<ArrayBuffer>>;
  /** Requests sent so far, renewals after a 401 not counted. */
  sent(): number;
  /** The server's release as its last answer gave it (`2.5.7`, `2.x.x`), the only place where it is told. */
  version(): string | undefined;
}

export function createCalls(deps: ClientDeps): Calls {
  const transport = createTransport(deps);
  let sent = 0;
  let version: string | undefined;

  async function send(operation: Operation, input: CallInput): Promise<SiteAnswer> {
    sent++;
    const answer = await transport({
      operation: wordFor(operation),
      method: operation.method,
      path: fillRoute(operation.route, input),
      effect: operation.effect,
      expect: typeof operation.answer === "string" ? operation.answer : "json",
      ...(input.query === undefined ? {} : { query: input.query }),
      ...(input.form === undefined ? {} : { body: input.form }),
      ...(input.json === undefined
        ? {}
        : { body: JSON.stringify(input.json), headers: { "content-type": "application/json" } }),
    });
    version = answer.header("f7t-appversion") ?? version;
    if (!answer.ok) throw refusal(operation, answer, deps.now());
    return answer;
  }

  return {
    async call<T>(operation: Operation<T>, input: CallInput): Promise<T> {
      const answer = await send(operation, input);
      // `nothing` and `bytes` are declared for operations whose T is void.
      if (typeof operation.answer === "string") return undefined as T;
      const read = operation.answer.safeParse(answer.body);
      if (read.success) return read.data;
      const why = read.error.issues[0]?.message ?? "unexpected shape";
      throw new FirecrestError(`${wordFor(operation)}: the site's answer cannot be read (${why})`, {
        code: "unreadable_answer",
        retry: operation.effect ? "after_check" : "later",
        httpStatus: answer.status,
        ...(answer.requestId === undefined ? {} : { requestId: answer.requestId }),
      });
    },
    bytes: async (operation, input) => (await send(operation, input)).bytes,
    sent: () => sent,
    version: () => version,
  };
}

function fillRoute(route: string, { system = "", id = "" }: CallInput): string {
  return route.replace("{system}", encodeURIComponent(system)).replace("{id}", encodeURIComponent(id));
}
