/** What one would write without Firewatch: verify the signature, put the body on a queue, answer 202. Nothing is kept. */
import { Hono } from "hono";
import { verify } from "../../shared/webhooks/standard.ts";

interface Bindings {
  SECRET: string;
  WORK: Queue;
}

const app = new Hono<{ Bindings: Bindings }>();

app.post("/hooks", async (c) => {
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
