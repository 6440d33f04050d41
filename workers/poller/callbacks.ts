/** The consumer of `callbacks`: leases what is due, signs, posts, and reports the batch in one call. */

import { utf8 } from "../../shared/bytes.ts";
import { type Now, systemNow } from "../../shared/clock.ts";
import type { Event } from "../../shared/contract/event.ts";
import { CallbackMessage } from "../../shared/contract/queue.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import { EgressError } from "../../shared/egress/error.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { type Log, redactText } from "../../shared/log.ts";
import type { PrivateJwk } from "../../shared/webhooks/ed25519.ts";
import { type AttemptAnswer, judgeAttempt } from "../../shared/webhooks/retry.ts";
import { sign } from "../../shared/webhooks/standard.ts";
import type { Env } from "./env.ts";
import type { AttemptReport, Lease } from "./lanes.ts";

const PARALLEL = 5;
const DEADLINE_MS = 20_000;
const READ_BYTES = 65_536;
const EXCERPT_CHARACTERS = 4_000;
/** A consumer that never ends would outlive its lease. */
const MAX_ROUNDS = 20;

export async function deliver(body: unknown, env: Env, log: Log): Promise<void> {
  const { connection } = CallbackMessage.parse(body);
  const tracker = env.TRACKER.getByName(connection);
  const egress = egressFrom(env, log);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const leased = await tracker.lease();
    if (leased === undefined) return;
    const { leases, signingKey } = leased as { leases: Lease[]; signingKey: PrivateJwk };
    const queue = [...leases];
    const reports: AttemptReport[] = [];
    const post = async () => {
      for (let lease = queue.shift(); lease !== undefined; lease = queue.shift()) {
        const report = await attempt(lease, { signingKey, connection, egress, now: systemNow });
        reports.push(report);
        log({
          event: "callback.attempted",
          connection,
          delivery: lease.delivery,
          eventId: lease.eventId,
          attempt: lease.attempt,
          outcome: report.verdict.outcome,
          status: report.status,
          error: report.error,
          durationMs: report.durationMs,
        });
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, post));
    await tracker.report(reports);
  }
}

/** One signed POST. Never throws: whatever happens is what came of the attempt. */
export async function attempt(
  lease: Lease,
  { signingKey, connection, egress, now }: { signingKey: PrivateJwk; connection: string; egress: Egress; now: Now },
): Promise<AttemptReport> {
  const at = now();
  const { body, contentType } = render(lease, connection);
  const signature = await sign(
    { id: lease.eventId, timestampSeconds: Math.floor(at / 1000), body: utf8(body) },
    { secrets: lease.secrets, ed25519: [signingKey] },
  );
  const report = (answer: AttemptAnswer, facts: Partial<AttemptReport>): AttemptReport => ({
    delivery: lease.delivery,
    at,
    durationMs: now() - at,
    verdict: judgeAttempt(answer, now()),
    ...facts,
  });
  try {
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
    const excerpt = redactText(
      new TextDecoder().decode(answer.body.subarray(0, EXCERPT_CHARACTERS * 2)),
      lease.secrets,
    ).slice(0, EXCERPT_CHARACTERS);
    return report(
      { status: answer.status, headers: answer.headers },
      { status: answer.status, ...(excerpt === "" ? {} : { excerpt }) },
    );
  } catch (error) {
    const code = error instanceof EgressError && error.code !== "too_large" ? error.code : "network";
    return report(
      { error: code },
      { error: error instanceof EgressError ? error.message : "the attempt was interrupted" },
    );
  }
}

/** Plain: the stored bytes. CloudEvents: the same facts in a structured envelope. */
function render(lease: Lease, connection: string): { body: string; contentType: string } {
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
    data: event.data,
  };
  return { body: JSON.stringify(envelope), contentType: "application/cloudevents+json" };
}
