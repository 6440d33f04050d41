/** The consumer of `callbacks`: leases what is due, signs, posts, and reports. It decides nothing. */

import { utf8 } from "../../shared/bytes.ts";
import { type Now, systemNow } from "../../shared/clock.ts";
import type { Event } from "../../shared/contract/event.ts";
import { CallbackMessage } from "../../shared/contract/queue.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import { EgressError } from "../../shared/egress/error.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { type Log, redactText } from "../../shared/log.ts";
import type { PrivateJwk } from "../../shared/webhooks/ed25519.ts";
import { type AttemptAnswer, type AttemptVerdict, judgeAttempt } from "../../shared/webhooks/retry.ts";
import { sign } from "../../shared/webhooks/standard.ts";
import type { Env } from "./env.ts";
import type { AttemptReport, Lease } from "./lanes.ts";

const PARALLEL = 5;
const DEADLINE_MS = 20_000;
const READ_BYTES = 65_536;
const EXCERPT_BYTES = 4_096;
const LOCATION_CHARACTERS = 500;
/** What one invocation begins at most: each post and its look-ups count against the runtime's limit of requests. */
const MAX_POSTS = 250;
const MAX_MS = 5 * 60_000;
/** While only slow receivers are under way: when to ask for what has fallen due for others. */
const ASK_AGAIN_MS = 500;

export async function deliver(body: unknown, env: Env, log: Log): Promise<void> {
  const { connection } = CallbackMessage.parse(body);
  const tracker = env.TRACKER.getByName(connection);
  const egress = egressFrom(env, log);
  let signingKeys: PrivateJwk[] = [];
  await postDue({
    lease: async () => {
      const leased = (await tracker.lease()) as { leases: Lease[]; signingKeys: PrivateJwk[] } | undefined;
      signingKeys = leased?.signingKeys ?? signingKeys;
      return leased?.leases ?? [];
    },
    report: async (reports, unposted) => void (await tracker.report(reports, unposted)),
    attempt: async (lease) => {
      const result = await attempt(lease, {
        signingKeys,
        connection,
        egress,
        now: systemNow,
        publicUrl: env.PUBLIC_URL,
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
        durationMs: result.durationMs,
      });
      return result;
    },
    now: systemNow,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    handOver: () => env.CALLBACKS.send({ v: 1, connection }),
  });
}

export interface Posting {
  lease(): Promise<Lease[]>;
  report(reports: AttemptReport[], unposted: string[]): Promise<void>;
  /** Never throws. */
  attempt(lease: Lease): Promise<AttemptReport>;
  now: Now;
  sleep(ms: number): Promise<void>;
  /** Has another invocation go on. */
  handOver(): Promise<unknown>;
}

/**
 * Posts what is due, at most five at once. Results are reported as soon as nothing else waits to be posted, and more is asked
 * for, again and again while posts are under way: a receiver that lets us wait holds one of the five, and no other receiver.
 * When it may begin no more, it hands over at once, and only then waits for what it began.
 */
export async function postDue({ lease, report, attempt: post, now, sleep, handOver }: Posting): Promise<void> {
  const stopAt = now() + MAX_MS;
  const queue: Lease[] = [];
  const flying = new Set<Promise<void>>();
  let reports: AttemptReport[] = [];
  let unposted: string[] = [];
  let begun = 0;

  const begin = (next: Lease): void => {
    begun++;
    const one = post(next).then((result) => {
      reports.push(result);
      flying.delete(one);
    });
    flying.add(one);
  };
  const tell = async (): Promise<void> => {
    if (reports.length + unposted.length === 0) return;
    const told = [reports, unposted] as const;
    reports = [];
    unposted = [];
    await report(...told);
  };
  const mayBegin = (): boolean => begun < MAX_POSTS && now() < stopAt;
  let bell: Promise<void> | undefined;
  const someTime = (): Promise<void> => {
    bell ??= sleep(ASK_AGAIN_MS).then(() => {
      bell = undefined;
    });
    return bell;
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
        else unposted.push(next.delivery);
      }
      if (!mayBegin()) break;
      const canTakeMore = flying.size < PARALLEL;
      if (flying.size > 0) await Promise.race(canTakeMore ? [...flying, someTime()] : flying);
    } while (flying.size + queue.length + reports.length + unposted.length > 0);
    if (!mayBegin()) {
      unposted.push(...queue.map(({ delivery }) => delivery));
      await tell();
      await handOver();
    }
  } finally {
    await Promise.all(flying);
    await tell();
  }
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
  const report = (answer: AttemptAnswer, facts: Partial<AttemptReport>): AttemptReport => ({
    delivery: lease.delivery,
    attempt: lease.attempt,
    at,
    durationMs: now() - at,
    verdict: judged(answer, lease, now()),
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
