/** The poller Worker: the Tracker, the sweep, the consumers of `commands` and `callbacks`, reads for people. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { rfc3339, systemNow } from "../../shared/clock.ts";
import type { Caller } from "../../shared/contract/access.ts";
import type {
  ChatAnswer,
  ChatInbound,
  OpenedWorkspace,
  WorkspaceLink,
  WorkspaceRequest,
  Workspace as WorkspaceView,
} from "../../shared/contract/chat.ts";
import type { Invitation, InvitationRequest, MachinePart } from "../../shared/contract/connection.ts";
import type { SharedObject } from "../../shared/contract/link.ts";
import type { OpenedHook, PollerApi, Resealed } from "../../shared/contract/poller-api.ts";
import type { Answer, Idempotency, Origin, Page } from "../../shared/contract/rpc.ts";
import type { PageQuery } from "../../shared/contract/words.ts";
import { consoleSink, createLog, type Log } from "../../shared/log.ts";
import { attach } from "./acts.ts";
import { deliver } from "./callbacks.ts";
import { answerInTime } from "./chat/desk.ts";
import { command } from "./commands.ts";
import { type Env, sealOf } from "./env.ts";
import { file } from "./files.ts";
import { addressOfLink } from "./links.ts";
import { officeOf } from "./office.ts";
import * as reads from "./reads.ts";
import type { ResealedRows } from "./reseal.ts";
import { sweep } from "./sweep.ts";

export { Office } from "./office.ts";
export { Tracker } from "./tracker.ts";
export { Workspace } from "./workspace.ts";

const log: Log = createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "poller" } });

/** Times of RFC 3339 in UTC are ordered as texts. */
const laterOf = (one: string | undefined, other: string): string => (one !== undefined && one > other ? one : other);

/** Connections of one call; each takes about a second. */
const RESEALED_AT_ONCE = 10;

/** What api may ask of this Worker, over a service binding. */
export class Poller extends WorkerEntrypoint<Env> implements PollerApi {
  async openHook(connection: string, hook: string): Promise<OpenedHook | undefined> {
    return (await this.env.TRACKER.getByName(connection).openHook(hook)) as OpenedHook | undefined;
  }

  async logs(
    connection: string,
    caller: Caller,
    job: string,
    stream: "stdout" | "stderr",
    tail: number,
    masked: boolean,
  ) {
    const read = masked ? reads.logs : reads.output;
    return read(this.env, log, connection, caller, job, stream, tail);
  }

  async systems(connection: string, caller: Caller) {
    return reads.systems(this.env, log, connection, caller);
  }

  async system(connection: string, caller: Caller, system: string) {
    return reads.oneSystem(this.env, log, connection, caller, system);
  }

  async machine(connection: string, caller: Caller, system: string, part: MachinePart) {
    return reads.machine(this.env, log, connection, caller, system, part);
  }

  async file(
    connection: string,
    caller: Caller,
    system: string,
    operation: string,
    input: Record<string, unknown>,
    origin: Origin = {},
    idempotency?: Idempotency,
  ) {
    return file(this.env, log, connection, caller, system, operation, input, origin, idempotency);
  }

  async attach(
    connection: string,
    caller: Caller,
    job: string,
    command: string,
    options: { origin: Origin; idempotency?: Idempotency },
  ) {
    return attach(this.env, log, connection, caller, job, command, options);
  }

  async services(connection: string, caller: Caller) {
    return reads.services(this.env, log, connection, caller);
  }

  async openLink(token: string, origin: Origin): Promise<SharedObject | undefined> {
    const address = await addressOfLink(sealOf(this.env), token);
    return address && this.env.TRACKER.getByName(address.connection).openLink(address.hash, origin);
  }

  async reseal({ cursor, limit = RESEALED_AT_ONCE }: { cursor?: string; limit?: number }, origin: Origin) {
    const page = await this.connections({ limit, ...(cursor === undefined ? {} : { cursor }) });
    const done: Resealed = {
      connections: page.items.length,
      workspaces: 0,
      resealed: 0,
      unreadable: 0,
      unfinished: [],
      held: { links: 0, invitations: 0 },
    };
    const hold = (what: "links" | "invitations", { count, until }: { count: number; until?: number }) => {
      done.held[what] += count;
      if (until !== undefined) done.held.until = laterOf(done.held.until, rfc3339(until));
    };
    const renew = async (name: string, work: () => Promise<ResealedRows>) => {
      try {
        const rows = await work();
        done.resealed += rows.resealed;
        done.unreadable += rows.unreadable;
        if (rows.more) done.unfinished.push(name);
      } catch (error) {
        log({ event: "reseal.failed", name, error });
        done.unfinished.push(name);
      }
    };
    for (const { name } of page.items)
      await renew(name, async () => {
        const rows = await this.env.TRACKER.getByName(name).reseal(origin);
        hold("links", rows.staleLinks);
        return rows;
      });
    if (page.cursor !== undefined) return { ...done, cursor: page.cursor };
    const office = officeOf(this.env);
    const workspaces = await office.workspaces();
    for (const name of workspaces)
      await renew(`workspaces/${name}`, () => this.env.WORKSPACES.getByName(name).reseal());
    done.workspaces = workspaces.length;
    hold("invitations", await office.staleInvitations());
    await office.note({ actor: "admin", act: "deployment.reseal", subject: "deployment", origin });
    return done;
  }

  async connections({
    cursor,
    limit,
  }: {
    cursor?: string;
    limit?: number;
  }): Promise<Page<{ name: string; live: boolean }>> {
    const page = await this.env.INDEX.list<{ live: boolean }>({
      prefix: "connection/",
      limit: limit ?? 100,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const items = page.keys.map(({ name, metadata }) => ({
      name: name.slice("connection/".length),
      live: metadata?.live === true,
    }));
    return page.list_complete ? { items } : { items, cursor: page.cursor };
  }

  async invite(request: InvitationRequest, origin: Origin): Promise<Answer<Omit<Invitation, "url">>> {
    const standing = await this.env.TRACKER.getByName(request.connection).authorize({ kind: "admin" }, "jobs:read");
    if (standing.ok) {
      const errors = [{ field: "/connection", message: "is there already; choose another name" }];
      return { ok: false, code: "invalid", errors };
    }
    return { ok: true, value: await officeOf(this.env).invite(request, origin) };
  }

  async invitations(query: PageQuery) {
    return officeOf(this.env).invitations(query);
  }

  async revokeInvitation(id: string, origin: Origin) {
    return (await officeOf(this.env).revokeInvitation(id, origin)) as Answer<null>;
  }

  async audit(query: PageQuery) {
    return officeOf(this.env).audit(query);
  }

  async putWorkspace(name: string, request: WorkspaceRequest, origin: Origin) {
    const office = officeOf(this.env);
    await office.enlist(name);
    const put = await this.env.WORKSPACES.getByName(name).put(request);
    if (put.ok) await office.note({ actor: "admin", act: "workspace.put", subject: `workspaces/${name}`, origin });
    return put as Answer<{ created: boolean; workspace: WorkspaceView }>;
  }

  async workspace(name: string) {
    return (await this.env.WORKSPACES.getByName(name).view()) as Answer<WorkspaceView>;
  }

  async removeWorkspace(name: string, origin: Origin) {
    const removed = (await this.env.WORKSPACES.getByName(name).remove()) as Answer<null>;
    if (!removed.ok) return removed;
    const office = officeOf(this.env);
    await office.strike(name);
    await office.note({ actor: "admin", act: "workspace.remove", subject: `workspaces/${name}`, origin });
    return removed;
  }

  async workspaceLinks(name: string) {
    return (await this.env.WORKSPACES.getByName(name).links()) as Answer<Page<WorkspaceLink>>;
  }

  async openWorkspace(name: string) {
    return (await this.env.WORKSPACES.getByName(name).opened()) as OpenedWorkspace | undefined;
  }

  async chat(workspace: string, inbound: ChatInbound): Promise<ChatAnswer> {
    return answerInTime(this.env, log, workspace, inbound, (work) => this.ctx.waitUntil(work));
  }
}

export default {
  /**
   * Every message is a hint: it is acknowledged unless the Tracker could not be reached. Dead letters are recorded where
   * people can see them, and the agenda brings their work back. Slow callbacks end after the batch: the queue goes on.
   */
  async queue(batch: MessageBatch, env: Env, context: ExecutionContext): Promise<void> {
    await Promise.all(
      batch.messages.map(async (message) => {
        try {
          if (batch.queue === "commands") await command(message.body, env, log);
          else if (batch.queue === "callbacks") context.waitUntil((await deliver(message.body, env, log)).late);
          else await bury(batch.queue, message.body, env);
          message.ack();
        } catch (error) {
          log({ event: "message.failed", queue: batch.queue, attempts: message.attempts, error });
          message.retry({ delaySeconds: Math.min(60, 2 ** message.attempts) });
        }
      }),
    );
  },

  async scheduled(controller: ScheduledController, env: Env): Promise<void> {
    await sweep(env, log, controller.scheduledTime);
  },
} satisfies ExportedHandler<Env>;

async function bury(queue: string, body: unknown, env: Env): Promise<void> {
  const connection =
    typeof body === "object" && body !== null && "connection" in body ? String(body.connection) : undefined;
  log({ event: "message.dead", queue, connection, body });
  if (connection !== undefined && /^[a-z0-9][a-z0-9-]{0,62}$/.test(connection))
    await env.TRACKER.getByName(connection).rememberDead(queue, JSON.stringify(body));
}
