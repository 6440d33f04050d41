/**
 * What a button carries: the job, what to do with it, and a proof that we made the button. Mattermost signs nothing, so this
 * proof is the only thing that stands between a forged click and somebody's job; on Slack it stands behind Slack's own signature.
 */
import { fromBase64, hmac, sameSecret, toBase64Url, utf8 } from "../bytes.ts";
import { BoundAction, CHAT_ACTS, type ChatAct, type Proposal } from "../contract/chat.ts";
import type { Job } from "../contract/job.ts";

const VERSION = "1";

/** `key`: base64 of the workspace's own key, so a button of one workspace means nothing in another. */
export async function bindAction(key: string, action: BoundAction): Promise<string> {
  const { connection, job, act, proposal } = action;
  const text = [VERSION, connection, job, act, ...(proposal === undefined ? [] : [written(proposal)])].join(":");
  return `${text}:${await proofOf(key, text)}`;
}

/** Undefined for anything that `bindAction` did not make with this key. */
export async function readAction(key: string, token: unknown): Promise<BoundAction | undefined> {
  if (typeof token !== "string" || token.length > 512) return undefined;
  const end = token.lastIndexOf(":");
  const text = token.slice(0, end);
  if (end < 0 || !(await sameSecret(token.slice(end + 1), await proofOf(key, text)))) return undefined;
  const [version, connection, job, act, numbers, ...more] = text.split(":");
  if (version !== VERSION || more.length > 0) return undefined;
  return BoundAction.safeParse({ connection, job, act, ...(numbers === undefined ? {} : { proposal: read(numbers) }) })
    .data;
}

/** `7200,` are seconds alone, `,8192` are mebibytes alone. */
const written = ({ timeLimitSeconds, memoryMiB }: Proposal): string => `${timeLimitSeconds ?? ""},${memoryMiB ?? ""}`;

function read(numbers: string): Proposal {
  const [timeLimitSeconds, memoryMiB] = numbers.split(",").map(Number);
  return { ...(timeLimitSeconds ? { timeLimitSeconds } : {}), ...(memoryMiB ? { memoryMiB } : {}) };
}

/** A button's value for everything that can be done with a job. */
export async function bindActions(
  key: string,
  { connection, id: job }: Pick<Job, "connection" | "id">,
  proposal: Proposal,
): Promise<Partial<Record<ChatAct, string>>> {
  const acts = CHAT_ACTS.filter((act) => act !== "more" || Object.keys(proposal).length > 0);
  const bound = acts.map(
    async (act) =>
      [act, await bindAction(key, { connection, job, act, ...(act === "more" ? { proposal } : {}) })] as const,
  );
  return Object.fromEntries(await Promise.all(bound));
}

async function proofOf(key: string, text: string): Promise<string> {
  const bytes = fromBase64(key);
  if (bytes === undefined || bytes.length < 32)
    throw new TypeError("the key of a workspace's buttons is 32 bytes in base64");
  return toBase64Url(await hmac("sha256", bytes, utf8(text)));
}
