/**
 * Slack and Mattermost as far as a bot's messages go: in memory, strict about what is documented (content types, tokens,
 * limits, rates), and able to lose an answer or to have a bad day.
 */
import { mattermostProblems, slackProblems } from "./chat-limits.ts";

type Json = Record<string, unknown>;

export interface SlackMessageDouble {
  channel: string;
  ts: string;
  thread?: string;
  text: string;
  blocks: unknown[];
  metadata?: unknown;
  edits: number;
}

/** What happens to one call: `lose` = it is done and nobody hears of it. */
export type Fate = "answer" | "lose" | "drop" | Response;

const json = (body: unknown, init: ResponseInit = {}): Response =>
  new Response(JSON.stringify(body), { ...init, headers: { "content-type": "application/json", ...init.headers } });

abstract class Double {
  readonly now: () => number;
  readonly token: string;
  /** `method path` of every call that arrived. */
  readonly calls: string[] = [];
  fate: (call: string) => Fate = () => "answer";

  constructor({ now, token }: { now: () => number; token: string }) {
    this.now = now;
    this.token = token;
  }

  async handle(request: Request, body: string): Promise<Response> {
    const call = this.nameOf(request);
    const fate = this.fate(call);
    if (fate === "drop") throw new TypeError("connection reset");
    this.calls.push(call);
    if (fate instanceof Response) return fate;
    const answer = this.answer(request, call, body);
    if (fate === "lose") throw new TypeError("connection reset");
    return answer;
  }

  protected abstract nameOf(request: Request): string;
  protected abstract answer(request: Request, call: string, body: string): Response;
}

/** `https://…/api/<method>`. */
export class SlackDouble extends Double {
  readonly messages: SlackMessageDouble[] = [];
  readonly channels = new Set(["C0LAB"]);
  /** What the token may not do. */
  readonly missing = new Set<string>();
  /** Posts a minute and channel; above it 429 with this many seconds. */
  readonly retryAfter = 10;
  #posts: { channel: string; at: number }[] = [];
  #count = 0;

  protected nameOf(request: Request): string {
    return new URL(request.url).pathname.split("/").at(-1) ?? "";
  }

  protected answer(request: Request, method: string, body: string): Response {
    const refused = (error: string) => json({ ok: false, error });
    if (request.headers.get("authorization") !== `Bearer ${this.token}`) return refused("invalid_auth");
    if (this.missing.has(method)) return refused("missing_scope");
    if (request.method === "GET") return this.#read(method, new URL(request.url).searchParams);
    if (request.headers.get("content-type") !== "application/json; charset=utf-8") return refused("invalid_post_type");
    const input = JSON.parse(body) as Json;
    if (method === "conversations.open") return json({ ok: true, channel: { id: `D${String(input.users)}` } });
    const channel = this.#channel(String(input.channel));
    if (channel === undefined) return refused("channel_not_found");
    if (slackProblems(input).length > 0) return refused("invalid_blocks");
    if (method === "chat.postMessage") return this.#post(channel, input);
    const message = this.messages.find((one) => one.channel === channel && one.ts === input.ts);
    if (method !== "chat.update") return refused("unknown_method");
    if (message === undefined) return refused("message_not_found");
    message.edits++;
    Object.assign(message, { text: input.text, blocks: input.blocks });
    return json({ ok: true, channel, ts: message.ts, text: input.text });
  }

  #channel(name: string): string | undefined {
    if (name.startsWith("U")) return `D${name}`;
    return this.channels.has(name) || name.startsWith("D") ? name : undefined;
  }

  #post(channel: string, input: Json): Response {
    const now = this.now();
    this.#posts = this.#posts.filter(({ at }) => at > now - 1_000);
    // About one a second, short bursts are let through.
    if (this.#posts.filter((post) => post.channel === channel).length >= 3)
      return json(
        { ok: false, error: "ratelimited" },
        { status: 429, headers: { "retry-after": String(this.retryAfter) } },
      );
    this.#posts.push({ channel, at: now });
    const ts = `${Math.floor(now / 1000)}.${String(++this.#count).padStart(6, "0")}`;
    const thread = typeof input.thread_ts === "string" ? { thread: input.thread_ts } : {};
    this.messages.push({
      channel,
      ts,
      ...thread,
      text: String(input.text),
      blocks: input.blocks as unknown[],
      metadata: input.metadata,
      edits: 0,
    });
    return json({ ok: true, channel, ts });
  }

  #read(method: string, query: URLSearchParams): Response {
    if (method !== "conversations.history" && method !== "conversations.replies")
      return json({ ok: false, error: "unknown_method" });
    const oldest = Number(query.get("oldest") ?? 0);
    const found = this.messages.filter(
      ({ channel, ts, thread }) =>
        channel === query.get("channel") &&
        Number(ts) >= oldest &&
        (method === "conversations.history" ? thread === undefined : thread === query.get("ts")),
    );
    const listed = query.get("include_all_metadata") === "true" ? found : found.map(({ metadata: _, ...one }) => one);
    return json({ ok: true, messages: [...listed].reverse() });
  }

  /** Messages that stand in the channel itself. */
  get roots(): SlackMessageDouble[] {
    return this.messages.filter(({ thread }) => thread === undefined);
  }

  repliesTo({ ts }: SlackMessageDouble): SlackMessageDouble[] {
    return this.messages.filter(({ thread }) => thread === ts);
  }
}

interface MattermostPost {
  id: string;
  channel_id: string;
  root_id: string;
  message: string;
  props: Json;
  create_at: number;
  edits: number;
}

/** A server's `/api/v4`. */
export class MattermostDouble extends Double {
  readonly posts: MattermostPost[] = [];
  readonly channels = new Set(["chan1"]);

  protected nameOf(request: Request): string {
    return `${request.method} ${new URL(request.url).pathname.replace(/^.*\/api\/v4/, "")}`;
  }

  protected answer(request: Request, call: string, body: string): Response {
    const error = (status: number, id: string) => json({ id, message: id, status_code: status }, { status });
    if (request.headers.get("authorization") !== `Bearer ${this.token}`)
      return error(401, "api.context.session_expired.app_error");
    const input = body === "" ? {} : (JSON.parse(body) as Json);
    if (call === "GET /users/me") return json({ id: "botid" });
    if (call === "POST /channels/direct") {
      const id = (input as unknown as string[]).join("__");
      this.channels.add(id);
      return json({ id }, { status: 201 });
    }
    const [, channel] = /^GET \/channels\/([^/]+)\/posts$/.exec(call) ?? [];
    if (channel !== undefined) return this.#list((post) => post.channel_id === channel);
    const [, root] = /^GET \/posts\/([^/]+)\/thread$/.exec(call) ?? [];
    if (root !== undefined) return this.#list((post) => post.id === root || post.root_id === root);
    if (mattermostProblems(input).length > 0) return error(400, "api.post.create_post.props.app_error");
    if (call === "POST /posts") {
      if (!this.channels.has(String(input.channel_id))) return error(404, "app.channel.get.existing.app_error");
      const post = {
        id: `post${this.posts.length + 1}`,
        channel_id: String(input.channel_id),
        root_id: String(input.root_id ?? ""),
      };
      this.posts.push({
        ...post,
        message: String(input.message),
        props: input.props as Json,
        create_at: this.now(),
        edits: 0,
      });
      return json(post, { status: 201 });
    }
    const [, edited] = /^PUT \/posts\/([^/]+)\/patch$/.exec(call) ?? [];
    const post = this.posts.find(({ id }) => id === edited);
    if (post === undefined) return error(404, "app.post.get.app_error");
    Object.assign(post, { message: input.message, props: input.props });
    post.edits++;
    return json(post);
  }

  #list(which: (post: MattermostPost) => boolean): Response {
    const found = this.posts.filter(which);
    return json({ order: found.map(({ id }) => id), posts: Object.fromEntries(found.map((post) => [post.id, post])) });
  }
}
