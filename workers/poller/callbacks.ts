/** The consumer of `callbacks`: leases what is due, signs, posts, and reports. It decides nothing. */

import { utf8 } from "../../shared/bytes.ts";
import { type Now, systemNow } from "../../shared/clock.ts";
import type { ChatBot } from "../../shared/contract/chat.ts";
import type { Event } from "../../shared/contract/event.ts";
import { CallbackMessage } from "../../shared/contract/queue.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import { EgressError } from "../../shared/egress/error.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { type Log, redactText } from "../../shared/log.ts";
import type { PrivateJwk } from "../../shared/webhooks/ed25519.ts";
import { type AttemptAnswer, type AttemptVerdict, judgeAttempt } from "../../shared/webhooks/retry.ts";
import { sign } from "../../shared/webhooks/standard.ts";
import { spanIn } from "../../shared/webhooks/trace.ts";
import { attemptForPeople, type OutgoingDeps } from "./channels/outgoing.ts";
import type { SharedResult } from "./chat-shares.ts";
import type { Env } from "./env.ts";
import type { AttemptReport, Lease, Unposted } from "./lanes.ts";
import { logs } from "./reads.ts";

const PARALLEL = 5;
const TAIL_MS = 5_000;
const TAIL_LINES = 20;
const DEADLINE_MS = 20_000;
const READ_BYTES = 65_536;
const EXCERPT_BYTES = 4_096;
const LOCATION_CHARACTERS = 500;
/** What one invocation begins at most: each post and its look-ups count against the runtime's limit of requests. */
const MAX_POSTS = 250;
const MAX_MS = 5 * 60_000;
/** A post that takes longer than this is waited for by nobody but itself. */
const PATIENCE_MS = 1_000;

/** Answers `late`: the end of the posts that this invocation did not wait for. */
export async function deliver(body: unknown, env: Env, log: Log): Promise<{ late: Promise<void> }> {
  const { connection } = CallbackMessage.parse(body);
  const tracker = env.TRACKER.getByName(connection);
  const egress = egressFrom(env, log);
  let signingKeys: PrivateJwk[] = [];
  return postDue({
    lease: async () => {
      const leased = (await tracker.lease()) as { leases: Lease[]; signingKeys: PrivateJwk[] } | undefined;
      signingKeys = leased?.signingKeys ?? signingKeys;
      return leased?.leases ?? [];
    },
    report: async (reports, unposted) => void (await tracker.report(reports, unposted)),
    attempt: async (lease) => {
      const way = { connection, egress, now: systemNow, publicUrl: env.PUBLIC_URL };
      const result =
        lease.channel === "webhook"
          ? await attempt(lease, { signingKeys, ...way })
          : await attemptForPeople(lease, {
              ...way,
              bot: botOf(env),
              tail: tailOf(env, log, connection),
              share: shareOf(env, log, connection),
            });
      log({
        event: "callback.attempted",
        connection,
        delivery: lease.delivery,
        eventId: lease.eventId,
        attempt: lease.attempt,
        outcome: result.verdict.outcome,
        status: result.status,
        error: result.error,
        traceparent: result.traceparent,
        durationMs: result.durationMs,
      });
      return result;
    },
    now: systemNow,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    handOver: () => env.CALLBACKS.send({ v: 1, connection }),
  });
}

/** What posts for a workspace: asked for at each attempt, never kept. */
const botOf = (env: Env) => async (workspace: string) =>
  (await env.WORKSPACES.getByName(workspace).bot()) as ChatBot | undefined;

/** Last lines of a job's errors, if the site tells them in good time: a message does not wait for them. */
const tailOf = (env: Env, log: Log, connection: string) => async (jobId: string) => {
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, TAIL_MS));
  const read = logs(env, log, connection, { kind: "admin" }, jobId, "stderr", TAIL_LINES)
    .then((answer) => (answer.ok ? answer.value : undefined))
    .catch(() => undefined);
  return Promise.race([read, late]);
};

/** In the person's own right. A message without a link is better than none. */
const shareOf =
  (env: Env, log: Log, connection: string): OutgoingDeps["share"] =>
  async (person, transferId) => {
    try {
      const shared = await env.TRACKER.getByName(connection).shareStored({ kind: "chat", ...person }, [transferId], {});
      return shared.ok ? (shared.value as SharedResult[]) : [];
    } catch (error) {
      log({ event: "chat.not_shared", connection, transfer: transferId, error });
      return [];
    }
  };

export interface Posting {
  lease(): Promise<Lease[]>;
  report(reports: AttemptReport[], unposted: Unposted[]): Promise<void>;
  /** Never throws. */
  attempt(lease: Lease): Promise<AttemptReport>;
  now: Now;
  sleep(ms: number): Promise<void>;
  /** Has another invocation go on. */
  handOver(): Promise<unknown>;
}

const givenBack = ({ delivery, until }: Lease): Unposted => ({ delivery, until });

/**
 * Posts what is due, at most five at once, reports as soon as nothing else waits to be posted, and asks for more until there
 * is none. As soon as one post takes long, or when it may begin no more, it hands over: another invocation goes on with all
 * five places, and what is still under way reports for itself. So a receiver that lets us wait costs the others a second.
 */
export async function postDue(posting: Posting): Promise<{ late: Promise<void> }> {
  const { lease, report, attempt: post, now, sleep, handOver } = posting;
  const stopAt = now() + MAX_MS;
  const queue: Lease[] = [];
  const flying = new Set<Promise<void>>();
  let reports: AttemptReport[] = [];
  let unposted: Unposted[] = [];
  let begun = 0;
  let isHeldUp = false;
  const heldUp = Promise.withResolvers<void>();

  const begin = (next: Lease): void => {
    begun++;
    const one = post(next).then((result) => {
      reports.push(result);
      flying.delete(one);
    });
    flying.add(one);
    void sleep(PATIENCE_MS).then(() => {
      isHeldUp ||= flying.has(one);
      if (isHeldUp) heldUp.resolve();
    });
  };
  const tell = async (): Promise<void> => {
    if (reports.length + unposted.length === 0) return;
    const told = [reports, unposted] as const;
    reports = [];
    unposted = [];
    await report(...told);
  };
  const mayBegin = (): boolean => !isHeldUp && begun < MAX_POSTS && now() < stopAt;
  const finish = async (): Promise<void> => {
    while (flying.size + reports.length > 0) {
      if (reports.length === 0) await Promise.race(flying);
      await tell();
      await handOver();
    }
  };

  try {
    do {
      if (queue.length === 0) {
        await tell();
        if (mayBegin()) queue.push(...(await lease()));
      }
      while (flying.size < PARALLEL && queue.length > 0) {
        const next = queue.shift() as Lease;
        // What could not end before its lease does would be posted twice: it is given back.
        if (mayBegin() && now() + DEADLINE_MS < next.until) begin(next);
        else unposted.push(givenBack(next));
      }
      if (mayBegin() && flying.size > 0) await Promise.race([...flying, heldUp.promise]);
    } while (mayBegin() && flying.size + queue.length + reports.length + unposted.length > 0);
    unposted.push(...queue.map(givenBack));
    await tell();
    if (!mayBegin()) await handOver();
  } catch (error) {
    await Promise.all(flying);
    await tell();
    throw error;
  }
  return { late: finish() };
}

/** One signed POST. Never throws: whatever happens is what came of the attempt. */
export async function attempt(
  lease: Lease,
  deps: {
    signingKeys: readonly PrivateJwk[];
    connection: string;
    egress: Egress;
    now: Now;
    publicUrl?: string | undefined;
  },
): Promise<AttemptReport> {
  const { signingKeys, connection, egress, now, publicUrl } = deps;
  const at = now();
  const traceparent = lease.traceparent && (await spanIn(lease.traceparent, `${lease.delivery}:${lease.attempt}`));
  const trace = traceparent === undefined ? {} : { traceparent };
  const report = (answer: AttemptAnswer, facts: Partial<AttemptReport>): AttemptReport => ({
    delivery: lease.delivery,
    attempt: lease.attempt,
    at,
    durationMs: now() - at,
    verdict: judged(answer, lease, now()),
    ...trace,
    ...facts,
  });
  try {
    const { body, contentType } = render(lease, connection, publicUrl);
    const signature = await sign(
      { id: lease.eventId, timestampSeconds: Math.floor(at / 1000), body: utf8(body) },
      { secrets: lease.secrets, ed25519: signingKeys },
    );
    const headers = {
      ...lease.headers,
      ...trace,
      ...signature,
      "content-type": contentType,
      "user-agent": "Firewatch",
      "firewatch-delivery": lease.delivery,
      "firewatch-attempt": String(lease.attempt),
    };
    const answer = await egress.fetch(
      lease.url,
      { method: "POST", headers, body },
      { purpose: "callback", deadlineMs: DEADLINE_MS, maxBytes: READ_BYTES },
    );
    const excerpt = firstBytes(redactText(new TextDecoder().decode(answer.body), secretsOf(lease)));
    return report(
      { status: answer.status, headers: answer.headers },
      { status: answer.status, bytes: answer.body.length, ...(excerpt === "" ? {} : { excerpt }) },
    );
  } catch (error) {
    const isOurs = error instanceof EgressError;
    const code = isOurs && error.code !== "too_large" ? error.code : "network";
    return report(
      { error: code },
      {
        error: isOurs ? error.message : "the attempt was interrupted",
        ...(code === "unresolved" ? { unresolved: true } : {}),
      },
    );
  }
}

/** The verdict, with a redirect's target that is safe to keep. */
function judged(answer: AttemptAnswer, lease: Lease, now: number): AttemptVerdict {
  const verdict = judgeAttempt(answer, now);
  if (verdict.outcome !== "retry" || verdict.location === undefined) return verdict;
  return { ...verdict, location: redactText(verdict.location, secretsOf(lease)).slice(0, LOCATION_CHARACTERS) };
}

/** Everything secret that was sent along, in each form in which a receiver may echo it. */
function secretsOf({ secrets, headers }: Lease): string[] {
  const words = Object.values(headers).flatMap((value) => [
    value,
    ...value.split(/\s+/).filter((word) => word.length >= 8),
  ]);
  return [...secrets, ...secrets.map((secret) => secret.replace(/^whsec_/, "")), ...words];
}

/** As many whole characters as fit. */
function firstBytes(text: string): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(EXCERPT_BYTES)).read);
}

/** Plain: the stored bytes. CloudEvents: the same facts in a structured envelope. */
function render(
  lease: Lease,
  connection: string,
  publicUrl: string | undefined,
): { body: string; contentType: string } {
  if (lease.format === "plain") return { body: lease.body, contentType: "application/json" };
  const event = JSON.parse(lease.body) as Event;
  const envelope = {
    specversion: "1.0",
    id: event.id,
    source: `/v1/connections/${connection}`,
    type: event.type,
    time: event.timestamp,
    subject: event.subject,
    sequence: String(event.sequence).padStart(20, "0"),
    datacontenttype: "application/json",
    ...(publicUrl === undefined ? {} : { dataschema: `${publicUrl}/v1/schemas/${event.type}` }),
    data: event.data,
  };
  return { body: JSON.stringify(envelope), contentType: "application/cloudevents+json" };
}
