/**
 * A Tracker that stands in for the real one where only the transfer Worker is under test: it holds transfers, sends the copy of
 * each again while that is paused, and completes it when all parts are there. Driven over HTTP, one object per connection.
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

/** One transfer, from its first piece of work to its last outcome. */
class Life {
  work: ByteWork | undefined;
  upload: Upload | undefined;
  readonly parts = new Map<number, PartDone>();
  readonly ended = Promise.withResolvers<void>();
  readonly #copy: CopyWork | undefined;

  constructor(work: ByteWork) {
    this.work = work;
    this.#copy = work.kind === "copy" ? work : undefined;
    this.upload = this.#copy?.upload;
  }

  /** What follows an outcome. */
  next(outcome: ByteOutcome): ByteWork | undefined {
    const { upload } = this;
    const copy = this.#copy;
    if (copy === undefined || upload === undefined) return undefined;
    const parts = [...this.parts.values()];
    if (outcome.kind === "paused") return { ...copy, upload, parts };
    if (outcome.kind !== "copied") return undefined;
    const { transfer, objectKey, metadata } = copy;
    const { uploadId, totalBytes: bytes } = upload;
    return { kind: "complete", transfer, objectKey, uploadId, parts, bytes, overwrite: false, metadata };
  }
}

export class Tracker extends DurableObject<Env> implements TrackerWork {
  readonly #lives = new Map<string, Life>();
  #outcomes: ByteOutcome[] = [];
  #reports = 0;
  #cancelled = false;

  /** One transfer, or one further piece of work of the only one. */
  async start(work: ByteWork): Promise<void> {
    await this.#begin(EFFECT, work);
  }

  /** Many transfers at once. */
  async startAll(works: readonly ByteWork[]): Promise<void> {
    await Promise.all(works.map((work, n) => this.#begin(`eff_${String(n).padStart(26, "0")}`, work)));
  }

  async #begin(effect: string, work: ByteWork): Promise<void> {
    this.#lives.set(effect, new Life(work));
    await this.#hint(effect, work);
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** As soon as nothing more follows. */
  async ended(): Promise<Seen> {
    await Promise.all(Array.from(this.#lives.values(), ({ ended }) => ended.promise));
    return this.seen();
  }

  seen(): Seen {
    const parts = [...this.#lives.values()].flatMap((life) => [...life.parts.values()]);
    return { outcomes: this.#outcomes, parts, reports: this.#reports };
  }

  async beginBytes(effect: string): Promise<Begun<ByteWork>> {
    const life = this.#lives.get(effect);
    const work = life?.work;
    if (life === undefined || work === undefined) return { go: false, why: "already_sent" };
    life.work = undefined;
    return { go: true, work, attempt: 1 };
  }

  async copyStarted(effect: string, upload: Upload) {
    const life = this.#lives.get(effect);
    if (life === undefined) return { go: false, upload };
    life.upload ??= upload;
    return { go: !this.#cancelled, upload: life.upload };
  }

  async partsDone(effect: string, parts: PartDone[]) {
    this.#reports += 1;
    for (const part of parts) this.#lives.get(effect)?.parts.set(part.n, part);
    return { go: !this.#cancelled };
  }

  async finishBytes(effect: string, outcome: ByteOutcome): Promise<void> {
    this.#outcomes.push(outcome);
    const life = this.#lives.get(effect);
    const next = this.#cancelled ? undefined : life?.next(outcome);
    if (life === undefined) return;
    life.work = next;
    if (next === undefined) life.ended.resolve();
    else await this.#hint(effect, next);
  }

  async #hint(effect: string, { transfer }: ByteWork): Promise<void> {
    await this.env.TRANSFERS.send({ v: 1, connection: this.ctx.id.name ?? "", transfer, effect });
  }
}

/** `POST /{connection}/start|start-all|cancel`, `GET /{connection}[/ended]`, and `POST /plain-put|plain-send` for comparison. */
export default {
  async fetch(request, env) {
    const [, connection = "", action] = new URL(request.url).pathname.split("/");
    if (connection === "plain-put") {
      const { url, key } = await request.json<{ url: string; key: string }>();
      return Response.json(await env.OBJECTS.put(key, (await fetch(url)).body));
    }
    if (connection === "plain-send") {
      const { url, key } = await request.json<{ url: string; key: string }>();
      const object = await env.OBJECTS.get(key);
      const answer = await fetch(url, { method: "PUT", body: object?.body ?? null });
      return Response.json({ status: answer.status });
    }
    const tracker = env.TRACKER.getByName(connection);
    if (action === "start") await tracker.start(await request.json());
    else if (action === "start-all") await tracker.startAll(await request.json());
    else if (action === "cancel") await tracker.cancel();
    else if (action === "ended") return Response.json(await tracker.ended());
    return Response.json(await tracker.seen());
  },
} satisfies ExportedHandler<Env>;
