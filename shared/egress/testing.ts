/** What the tests of egress share: a network of canned answers, and the error that an attempt ends in. */
import { createEgress, type EgressDeps } from "./egress.ts";
import { EgressError } from "./error.ts";

type Answer = Response | Error | ((init: RequestInit) => Response | Promise<Response>);

/** A network of answers by URL that remembers what it was asked. */
export function network(answers: Record<string, Answer>, deps: Partial<EgressDeps> = {}) {
  const asked: { url: string; headers: Record<string, string>; redirect: unknown; method: string }[] = [];
  const lines: unknown[] = [];
  const egress = createEgress({
    now: () => 0,
    log: (line) => lines.push(line),
    fetch: async (url, init) => {
      asked.push({
        url,
        headers: Object.fromEntries(new Headers(init.headers)),
        redirect: init.redirect,
        method: init.method ?? "GET",
      });
      const answer = answers[url] ?? new Error(`nobody at ${url}`);
      if (answer instanceof Error) throw answer;
      return answer instanceof Response ? answer.clone() : answer(init);
    },
    ...deps,
  });
  return { egress, asked, lines };
}

export async function failure(attempt: Promise<unknown>): Promise<EgressError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof EgressError) return error;
  throw new Error("expected an EgressError", { cause: error });
}

/** A redirect without a body. */
export const redirect = (location: string, status = 302): Response =>
  new Response(null, { status, headers: { location } });

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
