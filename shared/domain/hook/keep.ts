/** What is kept of an inbound request beside its body, so that it can be sent through the hook again after a change. */
import type { Hook } from "../../contract/hook.ts";
import { type Inbound, isCredential, namedBy } from "./read.ts";

/** Headers by which well-known senders say what a message is: a changed hook may well want to ask for them. */
const TELLING = ["content-type", "x-github-event", "x-gitlab-event", "x-gitea-event", "x-shopify-topic", "ce-type"];
const MAX_VALUE_CHARACTERS = 4_096;

export interface Kept {
  headers: Record<string, string>;
  claims: Record<string, unknown>;
}

/** The headers and claims that the hook reads, and the telling ones. Never a credential. */
export function keptOf(hook: Pick<Hook, "filter" | "params" | "dedupe">, { headers, claims }: Inbound): Kept {
  const froms = [
    ...(hook.filter ?? []).map(({ from }) => from),
    ...Object.values(hook.params ?? {}).map(({ from }) => from),
    ...(hook.dedupe ?? []),
  ];
  const wanted = [...TELLING, ...namedBy("header", froms).map((name) => name.toLowerCase())];
  return {
    headers: pick(headers, wanted, (name, value) => !isCredential(name) && value.length <= MAX_VALUE_CHARACTERS),
    claims: pick(claims, namedBy("claim", froms), () => true),
  };
}

function pick<T>(
  all: Readonly<Record<string, T>>,
  names: readonly string[],
  isFine: (name: string, value: T) => boolean,
): Record<string, T> {
  return Object.fromEntries(Object.entries(all).filter(([name, value]) => names.includes(name) && isFine(name, value)));
}
