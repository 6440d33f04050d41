/** For tests: a v1 site in memory, and requests with a token. */
import { expect } from "vitest";
import { createFirecrest, type MemoryFirecrest, type MemoryFirecrestOptions } from "../../memory.ts";

/** Header of a script that does nothing. */
export const SCRIPT = "#!/bin/bash\n#SBATCH --time=30\n";
export const HOME = "/home/alice";

/** Less than the life of a token. */
const TOKEN_USE_MS = 200_000;

export interface Answer {
  status: number;
  headers: Headers;
  body: unknown;
}

export class Client {
  readonly site: MemoryFirecrest;
  #token: { text: string; until: number } | undefined;

  constructor(site: MemoryFirecrest) {
    this.site = site;
  }

  static async start(options: MemoryFirecrestOptions = {}): Promise<Client> {
    return new Client(await createFirecrest(options));
  }

  async token(account: { clientId: string; clientSecret: string } = this.site): Promise<string> {
    const body = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: account.clientId,
      client_secret: account.clientSecret,
    });
    const response = await this.site.fetch(new Request(this.site.tokenUrl, { method: "POST", body }));
    return ((await response.json()) as { access_token: string }).access_token;
  }

  /** A request to v1 on `cluster`; the body may be a form, or fields for one. */
  async send(
    method: string,
    path: string,
    init: { form?: Record<string, string> | FormData; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const now = this.site.clock.now();
    if (this.#token === undefined || now > this.#token.until)
      this.#token = { text: await this.token(), until: now + TOKEN_USE_MS };
    const headers = new Headers({
      authorization: `Bearer ${this.#token.text}`,
      "x-machine-name": "cluster",
      ...init.headers,
    });
    for (const [name, value] of [...headers]) if (value === "") headers.delete(name);
    const body = init.form === undefined || init.form instanceof FormData ? init.form : new URLSearchParams(init.form);
    const request = new Request(this.site.v1Url + path, { method, headers, ...(body === undefined ? {} : { body }) });
    const response = await this.site.fetch(request);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parse(text) };
  }

  /** Starts a task and waits for its end; `advance` moves the clock between looks. */
  async task(
    method: string,
    path: string,
    init: Parameters<Client["send"]>[2] = {},
    advance = 0,
  ): Promise<{ id: string; status: string; data: unknown }> {
    const created = await this.send(method, path, init);
    expect(created.body).toMatchObject({ success: "Task created" });
    const { task_id: id } = created.body as { task_id: string };
    for (let look = 0; look < 50; look++) {
      const task = await this.look(id);
      if (task.status !== "100" && task.status !== "110" && task.status !== "116") return { id, ...task };
      if (advance > 0) await this.site.clock.advance(advance);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return { id, ...(await this.look(id)) };
  }

  async look(id: string): Promise<{ status: string; data: unknown }> {
    const { body } = await this.send("GET", `/tasks/${id}`);
    return (body as { task: { status: string; data: unknown } }).task;
  }

  async submit(
    script: string,
    fields: Record<string, string> = {},
  ): Promise<{ id: string; status: string; data: unknown }> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    form.set("file", new File([script], "job.sh"));
    return await this.task("POST", "/compute/jobs/upload", { form });
  }

  /** Stages a file; its link is a secret only on real sites. */
  async stage(path: string): Promise<{ id: string; url: string }> {
    const task = await this.task("POST", "/storage/xfer-external/download", { form: { sourcePath: path } });
    expect(task.status).toBe("117");
    return { id: task.id, url: (task.data as { url: string }).url };
  }

  /** Whoever has a link may use it. */
  async get(url: string): Promise<Response> {
    return await this.site.fetch(new Request(url));
  }

  /** Posts the form of an upload task at 111, as a client does. Returns the status. */
  async postForm(data: unknown, content: string): Promise<number> {
    const { parameters } = (data as { msg: { parameters: { url: string; data: Record<string, string> } } }).msg;
    const form = new FormData();
    for (const [name, value] of Object.entries(parameters.data)) form.set(name, value);
    form.set("file", new File([content], "any"));
    const encoded = new Response(form);
    const body = await encoded.arrayBuffer();
    const headers = {
      "content-type": encoded.headers.get("content-type") ?? "",
      "content-length": String(body.byteLength),
    };
    return (await this.site.fetch(new Request(parameters.url, { method: "POST", body, headers }))).status;
  }

  async write(path: string, content: string | Uint8Array): Promise<void> {
    const { files } = await this.site.host.as(this.site.user);
    await files.write(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }

  async read(path: string): Promise<string> {
    const { files } = await this.site.host.as(this.site.user);
    return await new Response((await files.read(path)).body).text();
  }
}

function parse(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
