/** Answers: what a handler returns, and what becomes of a Tracker's refusal. */
import type { Answer, Refusal } from "../../shared/contract/rpc.ts";
import { Problem } from "../../shared/problem.ts";

export function json(status: number, value: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
}

/** Says that an answer is that of an earlier request with the same key. */
export const replayedHeader = (replayed: boolean | undefined): Record<string, string> =>
  replayed === true ? { "idempotency-replayed": "true" } : {};

export const noContent = (): Response => new Response(null, { status: 204 });

export const text = (value: string): Response =>
  new Response(value, { headers: { "content-type": "text/plain; charset=utf-8" } });

/** What another Worker refused: the caller's standing was part of its answer. */
export class Refused extends Problem {
  /** `unauthorized` says nothing more than that, whatever the other end knows. */
  constructor({ ok: _, code, detail, errors, retryAfterSeconds, ...extra }: Refusal) {
    super(code, code === "unauthorized" ? {} : { detail, errors, retryAfterSeconds, extra });
  }
}

/** The value, or the refusal thrown as the problem that the caller is told. */
export function given<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value;
  throw new Refused(answer);
}
