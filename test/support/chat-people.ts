/**
 * A Slack team and a Mattermost server on loopback with people who type and press: they sign and show tokens as the real ones
 * do, give up on whatever takes longer than three seconds, and refuse answers, messages and forms beyond their limits.
 */
import { createHmac, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { MattermostDouble, SlackDouble } from "./chat-doubles.ts";
import { mattermostProblems, slackProblems } from "./chat-limits.ts";

type Json = Record<string, unknown>;

/** By the platform's own clock, from the first byte sent. */
const PATIENCE_MS = 3_000;

export interface Heard {
  status: number;
  /** Of the answer to the request itself; undefined where there was none. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  body: any;
  tookMs: number;
}

interface View {
  id: string;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  view: any;
}

abstract class Platform {
  readonly answers: { url: string; body: Json }[] = [];
  slowestMs = 0;
  #server: Server | undefined;
  url = "";
  /** Where Firewatch takes what people do. */
  target = "";

  async start(): Promise<this> {
    const server = createServer(async (message, response) => {
      const body = await textOf(message);
      const answer = await this.serve(
        new Request(`${this.url}${message.url ?? ""}`, {
          method: message.method ?? "GET",
          headers: message.headers as Record<string, string>,
        }),
        body,
      ).catch((error: unknown) => new Response(String(error), { status: 500 }));
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    this.url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
    this.#server = server;
    return this;
  }

  stop(): Promise<void> {
    this.#server?.closeAllConnections();
    return new Promise((resolve) => (this.#server === undefined ? resolve() : this.#server.close(() => resolve())));
  }

  protected abstract serve(request: Request, body: string): Promise<Response>;

  protected async send(body: string, headers: Record<string, string>): Promise<Heard> {
    const startedAt = performance.now();
    const response = await fetch(this.target, {
      method: "POST",
      headers,
      body,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await response.text();
    const tookMs = performance.now() - startedAt;
    this.slowestMs = Math.max(this.slowestMs, tookMs);
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text), tookMs };
  }

  /** What somebody was told later, at the address that came with their request. */
  toldAt(url: string): Json[] {
    return this.answers.filter((answer) => answer.url === url).map(({ body }) => body);
  }
}

export class SlackTeam extends Platform {
  readonly signingSecret = randomUUID();
  readonly team = "T0DOUBLE";
  readonly double = new SlackDouble({ now: Date.now, token: `bot-${randomUUID()}` });
  readonly views: View[] = [];
  readonly #triggers = new Map<string, number>();
  #count = 0;

  protected async serve(request: Request, body: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/answers/")) {
      const answer = JSON.parse(body) as Json;
      const problems = slackProblems(answer);
      this.answers.push({ url: request.url, body: answer });
      return new Response(problems.length === 0 ? "ok" : problems.join("; "), {
        status: problems.length === 0 ? 200 : 400,
      });
    }
    if (pathname !== "/api/views.open") return this.double.handle(request, body);
    if (request.headers.get("authorization") !== `Bearer ${this.double.token}`)
      return Response.json({ ok: false, error: "invalid_auth" });
    const { trigger_id, view } = JSON.parse(body) as { trigger_id: string; view: Json };
    const askedAt = this.#triggers.get(trigger_id);
    if (askedAt === undefined) return Response.json({ ok: false, error: "invalid_trigger_id" });
    if (Date.now() - askedAt > PATIENCE_MS) return Response.json({ ok: false, error: "expired_trigger_id" });
    const problems = viewProblems(view);
    if (problems.length > 0) return Response.json({ ok: false, error: "invalid_arguments", problems });
    this.#triggers.delete(trigger_id);
    const id = `V${this.views.length + 1}`;
    this.views.push({ id, view });
    return Response.json({ ok: true, view: { id } });
  }

  /** A request as Slack sends it. `retry`: the same again, as after a time-out. */
  async post(body: string, { at = Math.floor(Date.now() / 1000), retry = 0 } = {}): Promise<Heard> {
    const signature = createHmac("sha256", this.signingSecret).update(`v0:${at}:${body}`).digest("hex");
    const heard = await this.send(body, {
      "content-type": "application/x-www-form-urlencoded",
      "x-slack-request-timestamp": String(at),
      "x-slack-signature": `v0=${signature}`,
      ...(retry > 0 && { "x-slack-retry-num": String(retry), "x-slack-retry-reason": "http_timeout" }),
    });
    if (heard.body?.blocks !== undefined && slackProblems(heard.body).length > 0)
      throw new Error(`Slack would not show this: ${slackProblems(heard.body).join("; ")}`);
    return heard;
  }

  slash(user: string, text: string): { body: string; answersAt: string } {
    const n = ++this.#count;
    const trigger = `${n}.${n}.${randomUUID().replaceAll("-", "")}`;
    this.#triggers.set(trigger, Date.now());
    const answersAt = `${this.url}/answers/${n}`;
    const fields = {
      team_id: this.team,
      team_domain: "double",
      channel_id: "C0LAB",
      channel_name: "lab",
      user_id: user,
      user_name: `name-of-${user}`,
      command: "/hpc",
      text,
      response_url: answersAt,
      trigger_id: trigger,
      api_app_id: "A1",
    };
    return { body: new URLSearchParams(fields).toString(), answersAt };
  }

  async type(user: string, text: string): Promise<Heard & { answersAt: string }> {
    const { body, answersAt } = this.slash(user, text);
    return { ...(await this.post(body)), answersAt };
  }

  click(user: string, action: Json, channel = "C0LAB"): { body: string; answersAt: string } {
    const n = ++this.#count;
    const answersAt = `${this.url}/answers/${n}`;
    const payload = {
      type: "block_actions",
      team: { id: this.team, domain: "double" },
      enterprise: null,
      user: { id: user, username: `name-of-${user}`, team_id: this.team },
      container: { type: "message", message_ts: "1.000001", channel_id: channel },
      channel: { id: channel, name: "lab" },
      response_url: answersAt,
      trigger_id: `${n}.press`,
      actions: [{ ...action, type: "button", block_id: "b", action_ts: `${Date.now()}.${n}` }],
    };
    return { body: new URLSearchParams({ payload: JSON.stringify(payload) }).toString(), answersAt };
  }

  async press(user: string, action: Json, channel?: string): Promise<Heard & { answersAt: string }> {
    const { body, answersAt } = this.click(user, action, channel);
    return { ...(await this.post(body)), answersAt };
  }

  async fill(user: string, { id, view }: View, values: Record<string, string>): Promise<Heard> {
    const blocks = view.blocks.filter(({ type }: Json) => type === "input") as { block_id: string; element: Json }[];
    const state = Object.fromEntries(
      blocks.map(({ block_id, element }) => {
        const value = values[block_id] ?? null;
        const option = value === null ? null : { value };
        const kinds: Record<string, Json> = {
          plain_text_input: { value },
          static_select: { selected_option: option },
          checkboxes: { selected_options: option === null ? [] : [option] },
        };
        return [block_id, { [String(element.action_id)]: { type: element.type, ...kinds[String(element.type)] } }];
      }),
    );
    const payload = {
      type: "view_submission",
      team: { id: this.team },
      user: { id: user, username: `name-of-${user}` },
      view: { ...view, id, hash: "1.h", state: { values: state } },
    };
    const heard = await this.post(new URLSearchParams({ payload: JSON.stringify(payload) }).toString());
    const errors = Object.keys(heard.body?.errors ?? {});
    const unknown = errors.filter((name) => !blocks.some(({ block_id }) => block_id === name));
    if (unknown.length > 0) throw new Error(`Slack knows no such fields: ${unknown.join(", ")}`);
    return heard;
  }
}

/** As documented for modals. */
function viewProblems(view: Json): string[] {
  const problems: string[] = [];
  const blocks = view.blocks as Json[];
  const short = (what: string, value: unknown, max: number) => {
    const { text = "" } = (value ?? {}) as { text?: string };
    if (text.length < 1 || text.length > max) problems.push(`${what} has ${text.length} characters`);
  };
  if (view.type !== "modal") problems.push("is no modal");
  for (const name of ["title", "submit", "close"]) short(name, view[name], 24);
  if (blocks.length > 100) problems.push("has too many blocks");
  if (String(view.private_metadata).length > 3_000) problems.push("has too much metadata");
  const ids = blocks.flatMap(({ block_id }) => (block_id === undefined ? [] : [block_id]));
  if (new Set(ids).size !== ids.length) problems.push("has a block_id twice");
  for (const block of blocks.filter(({ type }) => type === "input")) {
    short("label", block.label, 2_000);
    const element = block.element as Json;
    if (element.type === "plain_text_input" && Number(element.max_length ?? 1) > 3_000) problems.push("max_length");
    const options = (element.options ?? []) as Json[];
    if (element.type !== "plain_text_input" && (options.length < 1 || options.length > 100)) problems.push("options");
    for (const option of options) {
      short("option", option.text, 75);
      if (String(option.value).length > 150) problems.push("option value");
    }
  }
  return problems;
}

export class MattermostServer extends Platform {
  readonly commandToken: string = randomUUID();
  readonly double = new MattermostDouble({ now: Date.now, token: `bot-${randomUUID()}` });
  #count = 0;

  protected async serve(request: Request, body: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith("/hooks/commands/")) return this.double.handle(request, body);
    this.answers.push({ url: request.url, body: JSON.parse(body) as Json });
    return new Response("ok");
  }

  async type(user: string, text: string, token = this.commandToken): Promise<Heard & { answersAt: string }> {
    const n = ++this.#count;
    const answersAt = `${this.url}/hooks/commands/${n}`;
    const fields = {
      token,
      team_id: "team1",
      team_domain: "double",
      channel_id: "chan1",
      channel_name: "lab",
      user_id: user,
      user_name: `name-of-${user}`,
      command: "/hpc",
      text,
      response_url: answersAt,
      trigger_id: randomUUID(),
    };
    const heard = await this.send(new URLSearchParams(fields).toString(), {
      "content-type": "application/x-www-form-urlencoded",
      authorization: `Token ${token}`,
    });
    const shown = heard.body?.attachments === undefined ? [] : mattermostProblems({ message: "", props: heard.body });
    if (shown.length > 0) throw new Error(`Mattermost would not show this: ${shown.join("; ")}`);
    return { ...heard, answersAt };
  }

  /** The server adds who pressed; people never see the context. */
  press(user: string, context: unknown): Promise<Heard> {
    const body = {
      user_id: user,
      user_name: `name-of-${user}`,
      channel_id: "chan1",
      team_id: "team1",
      post_id: "post1",
      trigger_id: randomUUID(),
      type: "button",
      data_source: "",
      context,
    };
    return this.send(JSON.stringify(body), { "content-type": "application/json" });
  }
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
