/**
 * What one would write without Firewatch: verify the signature, put the body on a queue, answer 202. Nothing is kept. Where it
 * has a rate limit, that is asked first, as our door does; where it has a Durable Object, that keeps each message once before the
 * answer: the least that a door must do whose 202 is to be believed.
 */
import { DurableObject } from "cloudflare:workers";
import { Hono } from "hono";
import { verify } from "../../shared/webhooks/standard.ts";

interface Bindings {
  SECRET: string;
  WORK: Queue;
  LIMIT?: RateLimit;
  KEEPER?: DurableObjectNamespace<Keeper>;
}

export class Keeper extends DurableObject<Bindings> {
  readonly #sql = this.ctx.storage.sql;

  constructor(state: DurableObjectState, env: Bindings) {
    super(state, env);
    this.#sql.exec("CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID");
  }

  async keep(id: string, body: string): Promise<boolean> {
    if (this.#sql.exec("SELECT 1 FROM messages WHERE id = ?", id).toArray().length > 0) return false;
    this.#sql.exec("INSERT INTO messages (id, body) VALUES (?, ?)", id, body);
    return true;
  }
}

const app = new Hono<{ Bindings: Bindings }>();

app.post("/hooks", async (c) => {
  const within = await c.env.LIMIT?.limit({ key: c.req.header("cf-connecting-ip") ?? "" });
  if (within?.success === false) return c.json({ error: "rate_limited" }, 429);
  const body = new Uint8Array(await c.req.arrayBuffer());
  const verdict = await verify(
    c.req.raw.headers,
    body,
    { secrets: [c.env.SECRET], publicKeys: [] },
    Math.floor(Date.now() / 1000),
  );
  if (!verdict.ok) return c.json({ error: verdict.reason }, 401);
  const text = new TextDecoder().decode(body);
  const isNew = (await c.env.KEEPER?.getByName("all").keep(verdict.messageId ?? text, text)) ?? true;
  if (isNew) await c.env.WORK.send(text);
  return c.json({ requestId: verdict.messageId }, 202);
});

export default {
  fetch: app.fetch,
  queue: (batch) => batch.ackAll(),
} satisfies ExportedHandler<Bindings>;
