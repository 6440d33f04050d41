/** One local deployment for a file of journeys: the three real Workers and an embedded FirecREST over real processes. */
import { randomUUID } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { type Launched, type LaunchOptions, launch } from "../../local/launch.ts";

export interface Deployment extends Launched {
  /** The v1 connection. */
  connection: { apiKey: string; url: string };
  logs: string[];
  call(
    method: string,
    path: string,
    options?: { body?: unknown; raw?: string; token?: string | null; headers?: Record<string, string> },
  ): Promise<Answer>;
  /** Sends a Standard-Webhooks request to a hook. */
  send(
    hook: string,
    secret: string,
    payload: unknown,
    overrides?: { id?: string; timestamp?: number; body?: string; signature?: string },
  ): Promise<Answer>;
  settled(jobId: string, patienceSeconds?: number): Promise<Record<string, unknown>>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  body: any;
}

export async function deploy(options: Partial<LaunchOptions> = {}): Promise<Deployment> {
  const logs: string[] = [];
  const launched = await launch({
    port: 0,
    firecrestPort: 0,
    apis: ["v1"],
    cron: false,
    onLog: (line) => logs.push(line),
    ...options,
  });
  const connection = launched.connections["local-v1"] ?? launched.connections["local-v2"];
  if (connection === undefined) throw new Error("no connection was made");

  const call: Deployment["call"] = async (
    method,
    path,
    { body, raw, token = connection.apiKey, headers = {} } = {},
  ) => {
    const url = path.startsWith("http")
      ? path
      : path.startsWith("/")
        ? launched.url + path
        : `${connection.url}${path === "" ? "" : "/"}${path}`;
    const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(url, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(content === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(content === undefined ? {} : { body: content }),
    });
    const text = await response.text();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = undefined;
    }
    return { status: response.status, headers: response.headers, text, body: parsed };
  };

  return {
    ...launched,
    connection,
    logs,
    call,
    send: (
      hook,
      secret,
      payload,
      { id = `msg_${randomUUID()}`, timestamp = Date.now(), body = JSON.stringify(payload), signature } = {},
    ) => {
      const signed = signature ?? new Webhook(secret).sign(id, new Date(timestamp), JSON.stringify(payload));
      const name = connection.url.split("/").at(-1);
      return call("POST", `/hooks/${name}/${hook}`, {
        raw: body,
        token: null,
        headers: {
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(timestamp / 1000)),
          "webhook-signature": signed,
        },
      });
    },
    settled: async (jobId, patienceSeconds = 80) => {
      for (const end = Date.now() + patienceSeconds * 1000; Date.now() < end; ) {
        const { body } = await call("GET", `jobs/${jobId}?wait=20&until=settled`);
        if (body.settledAt !== undefined) return body;
      }
      throw new Error(`job ${jobId} did not settle`);
    },
  };
}

/** Waits for a condition that comes from outside; no sleeping for a guessed time. */
export async function eventually<T>(
  look: () => Promise<T | undefined> | T | undefined,
  what: string,
  timeoutMs = 20_000,
): Promise<T> {
  for (const end = Date.now() + timeoutMs; ; ) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
