/**
 * One message of the queue `transfers`: ask the Tracker what to do, do it, report it. The message is acknowledged whatever came of
 * the work; only a Tracker that cannot be reached brings it back.
 */

import { TransferMessage } from "../../shared/contract/queue.ts";
import type { ByteOutcome, ByteWork, CopyWork, TrackerWork } from "../../shared/contract/work.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import type { Log } from "../../shared/log.ts";
import { type CopyDeps, type CopyReport, copy } from "./copy.ts";
import { asFailure, TrackerLost } from "./failure.ts";
import { abort, complete, putEmpty } from "./finish.ts";
import type { Clock } from "./patience.ts";
import type { Turns } from "./turns.ts";
import { up } from "./up.ts";

export interface ConsumerDeps {
  bucket: R2Bucket;
  egress: Pick<Egress, "stream" | "open">;
  /** A fresh stub: one that has thrown stays broken. */
  trackerOf(connection: string): TrackerWork;
  partBytesFor: CopyDeps["partBytesFor"];
  clock: Clock;
  /** Of the invocation: whatever it works on shares them. */
  turns: Turns;
  log: Log;
}

type QueueMessage = Pick<Message, "body" | "attempts" | "ack" | "retry">;

export async function consume(message: QueueMessage, deps: ConsumerDeps): Promise<void> {
  const parsed = TransferMessage.safeParse(message.body);
  if (!parsed.success) {
    // Of a newer version, perhaps: never guessed at. Its retries end in the dead-letter queue, where it is shown.
    deps.log({ event: "transfer.message_unreadable", attempts: message.attempts, problem: parsed.error.message });
    message.retry();
    return;
  }
  const startedAt = deps.clock.now();
  const facts = await handle(parsed.data, deps).catch((error) => ({ trackerLost: true, cause: error }));
  if ("trackerLost" in facts) message.retry({ delaySeconds: 5 * 2 ** (Math.min(message.attempts, 6) - 1) });
  else message.ack();
  const ids = { connection: parsed.data.connection, transfer: parsed.data.transfer, effect: parsed.data.effect };
  deps.log({ event: "transfer.bytes", ...ids, ...facts, durationMs: deps.clock.now() - startedAt });
}

/** What one message led to, for its log line. Throws where the Tracker was lost. */
async function handle({ connection, effect }: TransferMessage, deps: ConsumerDeps): Promise<Record<string, unknown>> {
  const ask = <T>(call: (tracker: TrackerWork) => Promise<T>) =>
    askTracker(() => call(deps.trackerOf(connection)), deps.clock);
  const begun = await ask((tracker) => tracker.beginBytes(effect));
  if (!begun.go) return { skipped: begun.why };

  const report: CopyReport = {
    started: (upload) => ask((tracker) => tracker.copyStarted(effect, upload)),
    partsDone: (parts) => ask((tracker) => tracker.partsDone(effect, parts)),
  };
  const result = await perform(begun.work, report, deps);
  await ask((tracker) => tracker.finishBytes(effect, result.outcome, begun.attempt));
  return { kind: begun.work.kind, attempt: begun.attempt, ...result };
}

async function perform(
  work: ByteWork,
  report: CopyReport,
  deps: ConsumerDeps,
): Promise<{ outcome: ByteOutcome; cause?: unknown }> {
  try {
    switch (work.kind) {
      case "copy":
        return await copy(work, {
          ...deps,
          report,
          fetch: (url, init) =>
            deps.egress.stream(url, init, { purpose: "staged", storageOrigins: storageOrigins(work) }),
        });
      case "complete":
        return { outcome: await complete(work, deps.bucket) };
      case "abort":
        return { outcome: await abort(work, deps.bucket) };
      case "put_empty":
        return { outcome: await putEmpty(work, deps.bucket) };
      default:
        return await up(work, { ...deps, report });
    }
  } catch (error) {
    if (error instanceof TrackerLost) throw error;
    return { outcome: asFailure(error).outcome(), cause: error };
  }
}

/** Without a list the Tracker has checked the link itself; it may still lead nowhere else. */
const storageOrigins = (work: CopyWork): readonly string[] => work.storageOrigins ?? [work.url];

/** Pauses before the Tracker is asked again: a deploy or a move of the object takes about that long. */
const TRACKER_PAUSES_MS = [500, 2_000, 5_000];

async function askTracker<T>(call: () => Promise<T>, clock: Clock): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await call();
    } catch (error) {
      const pauseMs = TRACKER_PAUSES_MS[n];
      if (pauseMs === undefined) throw new TrackerLost("the Tracker cannot be reached", { cause: error });
      await clock.sleep(pauseMs);
    }
  }
}
