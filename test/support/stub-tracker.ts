/**
 * A Tracker that stands in for the real one where only the transfer Worker is under test: it holds one transfer, sends its copy
 * again while that is paused, and completes it when all parts are there. Driven over HTTP, one object per transfer's connection.
 */
import { DurableObject } from "cloudflare:workers";
import type { TransferMessage } from "../../shared/contract/queue.ts";
import type { Begun, ByteOutcome, ByteWork, CopyWork, PartDone, TrackerWork } from "../../shared/contract/work.ts";

interface Env {
  TRACKER: DurableObjectNamespace<Tracker>;
  TRANSFERS: Queue<TransferMessage>;
  OBJECTS: R2Bucket;
}

export interface Seen {
  outcomes: ByteOutcome[];
  parts: PartDone[];
  /** Calls of `partsDone`. */
  reports: number;
}

type Upload = NonNullable<CopyWork["upload"]>;

const EFFECT = `eff_${"0".repeat(26)}`;

export class Tracker extends DurableObject<Env> implements TrackerWork {
  #copy: CopyWork | undefined;
  #upload: Upload | undefined;
  #work: ByteWork | undefined;
  #parts = new Map<number, PartDone>();
  #outcomes: ByteOutcome[] = [];
  #reports = 0;
  #cancelled = false;
  #ended = Promise.withResolvers<void>();

  async start(work: CopyWork): Promise<void> {
    this.#copy = work;
    this.#upload = work.upload;
    await this.#plan(work);
  }

  cancel(): void {
    this.#cancelled = true;
  }

  async put(work: ByteWork): Promise<void> {
    await this.#plan(work);
  }

  /** As soon as nothing more follows. */
  async ended(): Promise<Seen> {
    await this.#ended.promise;
    return this.seen();
  }

  seen(): Seen {
    return { outcomes: this.#outcomes, parts: [...this.#parts.values()], reports: this.#reports };
  }

  async beginBytes(): Promise<Begun<ByteWork>> {
    const work = this.#work;
    this.#work = undefined;
    return work === undefined ? { go: false, why: "already_sent" } : { go: true, work, attempt: 1 };
  }

  async copyStarted(_effect: string, upload: Upload) {
    this.#upload ??= upload;
    return { go: !this.#cancelled, upload: this.#upload };
  }

  async partsDone(_effect: string, parts: PartDone[]) {
    this.#reports += 1;
    for (const part of parts) this.#parts.set(part.n, part);
    return { go: !this.#cancelled };
  }

  async finishBytes(_effect: string, outcome: ByteOutcome): Promise<void> {
    this.#outcomes.push(outcome);
    const next = this.#next(outcome);
    if (next === undefined) this.#ended.resolve();
    else await this.#plan(next);
  }

  #next(outcome: ByteOutcome): ByteWork | undefined {
    const [copy, upload] = [this.#copy, this.#upload];
    if (this.#cancelled || copy === undefined || upload === undefined) return undefined;
    const parts = [...this.#parts.values()];
    if (outcome.kind === "paused") return { ...copy, upload, parts };
    if (outcome.kind !== "copied") return undefined;
    const { transfer, objectKey, metadata } = copy;
    const { uploadId, totalBytes: bytes } = upload;
    return { kind: "complete", transfer, objectKey, uploadId, parts, bytes, overwrite: false, metadata };
  }

  async #plan(work: ByteWork): Promise<void> {
    this.#work = work;
    await this.env.TRANSFERS.send({
      v: 1,
      connection: this.ctx.id.name ?? "",
      transfer: work.transfer,
      effect: EFFECT,
    });
  }
}

/** `POST /{connection}/start|put|cancel`, `GET /{connection}[/ended]`, and `POST /plain-put` for comparison. */
export default {
  async fetch(request, env) {
    const [, connection = "", action] = new URL(request.url).pathname.split("/");
    if (connection === "plain-put") {
      const { url, key } = await request.json<{ url: string; key: string }>();
      return Response.json(await env.OBJECTS.put(key, (await fetch(url)).body));
    }
    const tracker = env.TRACKER.getByName(connection);
    if (action === "start") await tracker.start(await request.json());
    else if (action === "put") await tracker.put(await request.json());
    else if (action === "cancel") await tracker.cancel();
    else if (action === "ended") return Response.json(await tracker.ended());
    return Response.json(await tracker.seen());
  },
} satisfies ExportedHandler<Env>;
