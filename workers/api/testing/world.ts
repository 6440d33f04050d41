/** An entrance with everything around it in memory: Trackers, poller, limits, clock and log. */

import { systemRandom } from "../../../shared/clock.ts";
import type { Scope } from "../../../shared/contract/access.ts";
import type { PollerApi } from "../../../shared/contract/poller-api.ts";
import { createApp } from "../app.ts";
import type { Deps, Limiter } from "../deps.ts";
import { AT, FakeTracker } from "./fake-tracker.ts";
import { FakeWorkspaces } from "./fake-workspaces.ts";

export const ADMIN_TOKEN = "an admin token that nobody guesses".replaceAll(" ", "-");

/** Lets `quota` requests of each key through. */
class FakeLimiter implements Limiter {
  quota = Number.POSITIVE_INFINITY;
  readonly counts = new Map<string, number>();

  async limit({ key }: { key: string }): Promise<{ success: boolean }> {
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    return { success: count <= this.quota };
  }
}

export interface Sent {
  method?: string;
  token?: string;
  headers?: Record<string, string>;
  /** Text and bytes go out as they are, anything else as JSON. */
  body?: unknown;
}

export type World = Awaited<ReturnType<typeof createWorld>>;

/** `lab` exists and has a key for everything but its administration; every other connection is empty. */
export async function createWorld(change: Partial<Deps> = {}) {
  const trackers = new Map<string, FakeTracker>();
  const lines: Record<string, unknown>[] = [];
  const clock = { now: Date.parse(AT) };
  const limits = { callers: new FakeLimiter(), hooks: new FakeLimiter() };
  const ticks = new Set<() => void>();

  const tracker = (name: string): FakeTracker => {
    const known = trackers.get(name) ?? new FakeTracker(name);
    trackers.set(name, known);
    return known;
  };

  const chat = new FakeWorkspaces();
  const poller: PollerApi = {
    invite: async ({ connection }) => ({
      ok: true,
      value: { id: "inv_x", connection, invitation: "fwi_x", expiresAt: AT },
    }),
    putWorkspace: chat.putWorkspace,
    workspace: chat.workspace,
    removeWorkspace: chat.removeWorkspace,
    workspaceLinks: chat.workspaceLinks,
    openWorkspace: chat.openWorkspace,
    chat: chat.chat,
    openHook: async (connection, name) => {
      const held = tracker(connection).heldHooks.get(name);
      return held && { hook: held.hook, secrets: held.secrets };
    },
    logs: async (connection, caller, job, stream, tail) => {
      const found = await tracker(connection).job(caller, job);
      return found.ok ? { ok: true, value: `${tail} lines of ${stream}` } : found;
    },
    attach: async (connection, caller, job) => {
      const found = await tracker(connection).job(caller, job);
      return found.ok ? { ok: true, value: { exitCode: 0 } } : found;
    },
    services: async (connection, caller) => {
      const admitted = tracker(connection).admit(caller, "jobs:read");
      return admitted.ok
        ? { ok: true, value: { items: [{ name: "daint/scheduler", available: true, description: "healthy" }] } }
        : admitted;
    },
    machine: async (connection, caller) => {
      const admitted = tracker(connection).admit(caller, "jobs:read");
      return admitted.ok ? { ok: true, value: { items: [] } } : admitted;
    },
    systems: async (connection, caller) => {
      const admitted = tracker(connection).admit(caller, "jobs:read");
      return admitted.ok
        ? { ok: true, value: { items: [{ name: "daint", available: true, description: "up" }] } }
        : admitted;
    },
    system: async (connection, caller, system) => {
      const admitted = tracker(connection).admit(caller, "jobs:read");
      return admitted.ok
        ? { ok: true, value: { name: system, available: true, description: "up", parameters: {} } }
        : admitted;
    },
    file: async (connection, caller, _system, operation, input) => {
      const admitted = tracker(connection).admit(caller, "files:read");
      if (!admitted.ok) return admitted;
      if (operation === "download") return { ok: true, value: { bytes: new Uint8Array([0, 255, 10]) } };
      return { ok: true, value: { body: { operation, input } } };
    },
    reseal: async () => ({
      connections: 0,
      workspaces: 0,
      resealed: 0,
      unreadable: 0,
      unfinished: [],
      held: { links: 0, invitations: 0 },
    }),
    invitations: async () => ({ items: [] }),
    revokeInvitation: async () => ({ ok: false, code: "not_found" }),
    audit: async () => ({ items: [] }),
    openLink: async (token) => {
      const id = token.replace("token-of-", "");
      const holder = [...trackers.values()].find(({ heldLinks }) => heldLinks.has(id));
      const link = holder?.heldLinks.get(id);
      return holder && link && { objectKey: `${holder.name}/${link.key}`, ...(link.etag && { etag: link.etag }) };
    },
    connections: async () => ({
      items: [...trackers.values()].filter(({ exists }) => exists).map(({ name }) => ({ name, live: false })),
    }),
  };

  const deps: Deps = {
    tracker,
    poller,
    objects: undefined as unknown as R2Bucket,
    callers: limits.callers,
    hooks: limits.hooks,
    adminToken: ADMIN_TOKEN,
    publicUrl: "https://firewatch.test",
    fetch: async () => new Response(null, { status: 404 }),
    now: () => clock.now,
    random: systemRandom,
    every: (_ms, tick) => {
      ticks.add(tick);
      return () => ticks.delete(tick);
    },
    log: (line) => void lines.push(line),
    ...change,
  };
  const app = createApp(deps);

  const lab = tracker("lab");
  lab.exists = true;
  const { apiKey, key } = await lab.issueKey({ name: "ci" });

  return {
    app,
    chat,
    lab,
    tracker,
    limits,
    clock,
    lines,
    ticks,
    apiKey,
    key,
    keyWith: async (...scopes: Scope[]) => (await lab.issueKey({ name: "narrow", scopes })).apiKey,
    send: async (path: string, { method = "GET", token, headers = {}, body }: Sent = {}): Promise<Response> => {
      const isRaw = typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
      return app.request(`https://firewatch.test${path}`, {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && !isRaw && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { body: isRaw ? (body as BodyInit) : JSON.stringify(body), duplex: "half" }),
      } as RequestInit);
    },
  };
}

/** What a refused request was told. */
export async function problemIn(
  response: Response,
): Promise<{ status: number; code: string; detail?: string; errors?: { field: string; message: string }[] }> {
  const body = (await response.json()) as { code: string };
  return { ...body, status: response.status };
}
