/**
 * One message per job, edited in place. Pure of any platform: what is shown already is edited, what may have been shown (an
 * answer was lost) is looked for first, and only what is surely not there is posted. Details go into the message's thread.
 */
import type { BotAnswer, BotApi, Shown } from "../../../shared/chat/bot-api.ts";
import type { Message } from "../../../shared/chat/message.ts";
import type { ChatPlace } from "../../../shared/contract/chat.ts";
import { EgressError } from "../../../shared/egress/error.ts";
import type { AttemptVerdict } from "../../../shared/webhooks/retry.ts";

/** Where one part of a job's news stands. */
export interface Standing {
  shown?: Shown;
  /** It was tried at that time, and nobody knows what came of it. */
  triedAt?: number;
}

/** `main` is the job's message; every other part is one detail in its thread. */
export const MAIN = "main";

export interface Part extends Standing {
  part: string;
  /** Goes with the message, unseen: by this it is found again. */
  key: string;
  message: Message;
}

export interface Showing {
  verdict: AttemptVerdict;
  /** What is shown now, by part. */
  shown: Record<string, Shown>;
  /** What may be shown or not: no answer came. */
  unsure: string[];
  status?: number;
  error?: string;
}

const DELIVERED: AttemptVerdict = { outcome: "delivered", disable: false };
const LATER: AttemptVerdict = { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 };

/** The message itself first; only in its thread the details. Never throws. */
export async function show(api: BotApi, place: ChatPlace, main: Part, details: readonly Part[]): Promise<Showing> {
  const showing: Showing = { verdict: DELIVERED, shown: {}, unsure: [] };
  const root = await put(api, place, main, showing);
  if (root === undefined) return showing;
  for (const detail of details) {
    if (detail.shown === undefined && (await put(api, place, detail, showing, root)) === undefined) break;
  }
  // The job's state is what counts, and that is shown: a detail that is refused for good is let go.
  if (showing.verdict.outcome === "abort") showing.verdict = DELIVERED;
  return showing;
}

/** One part, and what came of it, noted in `showing`. */
async function put(
  api: BotApi,
  place: ChatPlace,
  { part, key, message, shown, triedAt }: Part,
  showing: Showing,
  thread?: Shown,
): Promise<Shown | undefined> {
  let standing = shown;
  let mayBeThere = shown === undefined && triedAt !== undefined;
  const failed = ({ verdict, status, error }: Extract<BotAnswer<never>, { ok: false }>): undefined => {
    Object.assign(showing, { verdict, status, error });
    if (mayBeThere) showing.unsure.push(part);
  };
  try {
    if (standing === undefined && triedAt !== undefined) {
      const found = await api.find(place, key, triedAt, thread);
      if (!found.ok) return failed(found);
      standing = found.value;
      mayBeThere = false;
    }
    if (standing !== undefined) {
      // Whatever comes of the edit, it is this message that there is.
      showing.shown[part] = standing;
      const edited = await api.edit(standing, message, key);
      if (edited.ok) return standing;
      if (!edited.gone) return failed(edited);
      // Somebody removed it, or it is too old to be edited: the news is shown anew.
      delete showing.shown[part];
    }
    mayBeThere = true;
    const posted = await api.post(place, message, key, thread);
    // What the platform itself has refused is not there; a 5xx may come from something in between.
    mayBeThere = !posted.ok && posted.status >= 500;
    if (!posted.ok) return failed(posted);
    showing.shown[part] = posted.value;
    return posted.value;
  } catch (error) {
    const isOurs = error instanceof EgressError;
    // Nothing has left.
    if (isOurs && (error.code === "refused" || error.code === "unresolved"))
      mayBeThere = triedAt !== undefined && standing === undefined;
    showing.verdict = LATER;
    showing.error = isOurs ? error.message : "the attempt was interrupted";
    if (mayBeThere) showing.unsure.push(part);
    return undefined;
  }
}
