/**
 * The Workspace: one Durable Object per chat workspace. The class is a list of entrances around its register; it opens the
 * workspace's secrets for the Workers of this deployment, and takes up again what a Worker left unanswered.
 */
import { DurableObject } from "cloudflare:workers";
import { sha256Hex, toBase64 } from "../../shared/bytes.ts";
import { systemNow, systemRandom } from "../../shared/clock.ts";
import type {
  ChatAnswer,
  ChatBot,
  ChatInbound,
  OpenedWorkspace,
  Workspace as View,
  WorkspaceLink,
  WorkspaceRequest,
} from "../../shared/contract/chat.ts";
import { type Answer, NOT_FOUND, type Page } from "../../shared/contract/rpc.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { consoleSink, createLog } from "../../shared/log.ts";
import { answerLate } from "./chat/desk.ts";
import { type Arrival, Register } from "./chat/register.ts";
import type { Person } from "./chat-links.ts";
import { type Env, sealOf } from "./env.ts";
import { ADDRESS_REFUSED } from "./examine.ts";
import { type Place, type ResealedRows, renewAll } from "./reseal.ts";

const SLACK_API = "https://slack.com/api";

/** Where sealed values stand. */
const SEALED_PLACES: readonly Place[] = [
  { table: "meta", column: "value" },
  { table: "received", column: "inbound", where: "inbound IS NOT NULL" },
];

/** What is sealed of a workspace: everything that proves who is who. */
interface Secrets {
  signingSecrets?: string[];
  tokenHashes?: string[];
  botToken: string;
}

export class Workspace extends DurableObject<Env> {
  readonly #register: Register;
  readonly #name: string;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#name = state.id.name ?? "";
    this.#register = new Register(state.storage, systemNow);
  }

  // ------------------------------------------------------------------------------------------------ for the operator

  async put(request: WorkspaceRequest): Promise<Answer<{ created: boolean; workspace: View }>> {
    const apiUrl = (request.apiUrl ?? SLACK_API).replace(/\/+$/, "");
    if (egressFrom(this.env, this.#log()).refusal(apiUrl) !== undefined)
      return { ok: false, code: "invalid", errors: [{ field: "/apiUrl", message: ADDRESS_REFUSED }] };
    const before = this.#register.settings();
    if (before !== undefined && before.platform !== request.platform) {
      const detail = `This workspace is one of ${before.platform}; remove it first, or choose another name.`;
      return { ok: false, code: "conflict", detail };
    }
    const secrets: Secrets =
      request.platform === "slack"
        ? { signingSecrets: request.signingSecrets, botToken: request.botToken }
        : { tokenHashes: await Promise.all(request.commandTokens.map(sha256Hex)), botToken: request.botToken };
    const sealed = {
      secrets: await this.#seal("secrets", JSON.stringify(secrets)),
      actionKey: await this.#seal("action_key", toBase64(systemRandom(32))),
    };
    const created = this.#register.put(
      { platform: request.platform, apiUrl, ...(request.platform === "slack" ? { team: request.team } : {}) },
      sealed,
    );
    const view = await this.view();
    return view.ok ? { ok: true, value: { created, workspace: view.value } } : view;
  }

  async view(): Promise<Answer<View>> {
    const value = this.#register.view(this.#name, this.env.PUBLIC_URL ?? "");
    return value === undefined ? NOT_FOUND : { ok: true, value };
  }

  async remove(): Promise<Answer<null>> {
    if (!this.#register.exists()) return NOT_FOUND;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    return { ok: true, value: null };
  }

  async reseal(): Promise<ResealedRows> {
    return this.#register.exists()
      ? renewAll(this.#register, sealOf(this.env), SEALED_PLACES)
      : { resealed: 0, unreadable: 0, more: false };
  }

  async links(): Promise<Answer<Page<WorkspaceLink>>> {
    return this.#register.exists() ? { ok: true, value: { items: this.#register.links() } } : NOT_FOUND;
  }

  // ---------------------------------------------------------------------- for the Workers: never reachable over HTTP

  /** What tells the platform's requests from others. */
  async opened(): Promise<OpenedWorkspace | undefined> {
    const settings = this.#register.settings();
    if (settings === undefined) return undefined;
    const { signingSecrets = [], tokenHashes = [] } = await this.#secrets();
    const actionKey = await this.#open("action_key");
    return settings.platform === "slack"
      ? { platform: "slack", team: settings.team ?? "", signingSecrets, actionKey }
      : { platform: "mattermost", tokenHashes, actionKey };
  }

  async bot(): Promise<ChatBot | undefined> {
    const settings = this.#register.settings();
    if (settings === undefined) return undefined;
    const { botToken } = await this.#secrets();
    const { platform, apiUrl } = settings;
    return { platform, token: botToken, apiUrl, actionKey: await this.#open("action_key") };
  }

  async arrive(inbound: ChatInbound): Promise<Arrival | undefined> {
    if (!this.#register.exists()) return undefined;
    const sealed = await this.#seal("inbound", JSON.stringify(inbound));
    const arrival = this.#register.arrive(inbound.id, inbound.person.id, sealed);
    await this.#arm();
    return arrival;
  }

  async answered(id: string, answer: ChatAnswer): Promise<void> {
    if (this.#register.exists()) this.#register.answered(id, answer);
  }

  async mayTry(user: string): Promise<boolean> {
    return this.#register.mayTry(user);
  }

  async linked(person: Person, connection: string): Promise<void> {
    this.#register.linked(person, connection);
  }

  async unlinked(user: string, connection: string): Promise<void> {
    this.#register.unlinked(user, connection);
  }

  async use(user: string, connection: string): Promise<void> {
    this.#register.use(user, connection);
  }

  async claim(act: string, user: string) {
    return this.#register.claim(act, user);
  }

  async settle(act: string, said?: string): Promise<void> {
    this.#register.settle(act, said);
  }

  /** A Worker died between a request and its answer: the request is answered by this hand. */
  override async alarm(): Promise<void> {
    if (!this.#register.exists()) return;
    const log = this.#log();
    await Promise.all(
      this.#register.overdue().map(async ({ id, inbound }) => {
        try {
          const request = JSON.parse(await this.#openText("inbound", inbound)) as ChatInbound;
          await answerLate(this.env, log, this.#name, request, this.#register.known(request.person.id));
          this.#register.answered(id, {});
        } catch (error) {
          log({ event: "chat.not_answered", error });
        }
      }),
    );
    await this.#arm();
  }

  async #arm(): Promise<void> {
    const due = this.#register.nextDue();
    if (due !== undefined) await this.ctx.storage.setAlarm(due);
  }

  // ----------------------------------------------------------------------------------------------------------- secrets

  #log() {
    return createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "poller", workspace: this.#name } });
  }

  /** A workspace is no connection, and no connection's name has a colon: nothing sealed here opens there. */
  #binding(purpose: string) {
    return { purpose: `chat_${purpose}`, connection: `workspace:${this.#name}`, id: purpose };
  }

  #seal(purpose: string, text: string): Promise<string> {
    return sealOf(this.env).seal(text, this.#binding(purpose));
  }

  #openText(purpose: string, jwe: string): Promise<string> {
    return sealOf(this.env).open(jwe, this.#binding(purpose));
  }

  #open(key: string): Promise<string> {
    return this.#openText(key, this.#register.meta(key) ?? "");
  }

  async #secrets(): Promise<Secrets> {
    return JSON.parse(await this.#open("secrets")) as Secrets;
  }
}
