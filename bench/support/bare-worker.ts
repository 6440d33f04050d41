/**
 * What one would write without Firewatch: verify the signature, put the body on a queue, answer 202. Nothing is kept. Where it
 * has a rate limit, that is asked first, as our door does.
 */
import { Hono } from "hono";
import { verify } from "../../shared/webhooks/standard.ts";

interface Bindings {
  SECRET: string;
  WORK: Queue;
  LIMIT?: RateLimit;
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
  await c.env.WORK.send(new TextDecoder().decode(body));
  return c.json({ requestId: verdict.messageId }, 202);
});

export default {
  fetch: app.fetch,
  queue: (batch) => batch.ackAll(),
} satisfies ExportedHandler<Bindings>;
