/**
 * What people ask for in chat, done with their own links. It knows no platform: a request in words of no platform goes in, and
 * what to say comes out. Everything here may be done twice with the same request and then has its effect once.
 */

import { sha256Hex } from "../../../shared/bytes.ts";
import { jobMessage, suggestion } from "../../../shared/chat/about-job.ts";
import { bindActions } from "../../../shared/chat/action.ts";
import { BOUNDS } from "../../../shared/chat/clamp.ts";
import { type Command, parseCommand } from "../../../shared/chat/command.ts";
import { errorsByField, type FormErrors, type FormMetadata, readForm } from "../../../shared/chat/form.ts";
import type { Message } from "../../../shared/chat/message.ts";
import type { Caller } from "../../../shared/contract/access.ts";
import type {
  BoundAction,
  ChatInbound,
  ChatLink,
  ChatPlace,
  ChatPlatform,
  ChatTarget,
  Proposal,
} from "../../../shared/contract/chat.ts";
import type { Connection } from "../../../shared/contract/connection.ts";
import type {
  Job,
  JobRequest,
  JobsQuery,
  Resources,
  ResubmitRequest,
  WatchRequest,
} from "../../../shared/contract/job.ts";
import type { Answer, Idempotency, Origin, Page, Refusal } from "../../../shared/contract/rpc.ts";
import type { Transfer, TransferRequest } from "../../../shared/contract/transfer.ts";
import { JobId } from "../../../shared/contract/words.ts";
import { connectionOfCode, type Person } from "../chat-links.ts";
import { resultLink, type SharedResult } from "../chat-shares.ts";
import type { Provided } from "../limits.ts";
import type { Known } from "./register.ts";
import * as says from "./says.ts";

interface Options {
  idempotency?: Idempotency;
  origin: Origin;
  chat?: Pick<ChatTarget, "place" | "platform">;
}

/** What chat asks of a connection's Tracker. */
export interface ChatTracker {
  describe(caller: Caller): Promise<Answer<Connection>>;
  acceptJob(caller: Caller, request: JobRequest, options: Options): Promise<Answer<{ job: Job }>>;
  watch(caller: Caller, request: WatchRequest, options: Options): Promise<Answer<{ job: Job }>>;
  resubmit(caller: Caller, id: string, change: ResubmitRequest, options: Options): Promise<Answer<{ job: Job }>>;
  cancelJob(caller: Caller, id: string, origin: Origin): Promise<Answer<Job>>;
  jobs(caller: Caller, query: JobsQuery): Promise<Answer<Page<Job>>>;
  job(caller: Caller, id: string): Promise<Answer<Job>>;
  acceptTransfer(caller: Caller, request: TransferRequest, options: Options): Promise<Answer<{ transfer: Transfer }>>;
  shareStored(caller: Caller, transferIds: readonly string[], origin: Origin): Promise<Answer<SharedResult[]>>;
  /** What a job was given, and what it may be given. */
  provided(caller: Caller, id: string): Promise<Answer<Provided>>;
  linkPerson(workspace: string, person: Person, code: string, origin: Origin): Promise<Answer<ChatLink>>;
  unlinkPerson(workspace: string, user: string, origin: Origin): Promise<void>;
}

/** What it asks of the workspace. */
export interface ChatRegister {
  mayTry(user: string): Promise<boolean>;
  linked(person: Person, connection: string): Promise<void>;
  unlinked(user: string, connection: string): Promise<void>;
  use(user: string, connection: string): Promise<void>;
  claim(act: string, user: string): Promise<{ go: true } | { go: false; by: string; said?: string }>;
  settle(act: string, said?: string): Promise<void>;
}

export interface Talk {
  workspace: string;
  platform: ChatPlatform;
  publicUrl: string;
  actionKey: string;
  tracker(connection: string): ChatTracker;
  register: ChatRegister;
  /** The far side: this is what may take long. */
  logs(connection: string, caller: Caller, job: string, stream: "stdout" | "stderr"): Promise<Answer<string>>;
  /** The text of a script on the site. */
  script(connection: string, caller: Caller, system: string, path: string): Promise<Answer<string>>;
  /** Absent where the platform has no forms. */
  openForm?: (triggerId: string, metadata: FormMetadata, systems: readonly string[]) => Promise<boolean>;
}

export type Reply =
  | { kind: "say"; message: Message }
  /** The platform shows it by itself. */
  | { kind: "nothing" }
  | { kind: "errors"; errors: FormErrors };

const say = (message: Message): Reply => ({ kind: "say", message });
const NOTHING: Reply = { kind: "nothing" };

/** Jobs that a scheduler's number is looked for among, and those that are shown. */
const LOOKED_THROUGH = 200;
const SHOWN = 15;

export async function converse(talk: Talk, inbound: ChatInbound, known: Known): Promise<Reply> {
  const one = new Conversation(talk, inbound, known);
  if (inbound.kind === "action") return one.press(inbound.action);
  if (inbound.kind === "form") return one.submitForm(inbound.connection, inbound.values);
  const parsed = parseCommand(inbound.text);
  return parsed.ok ? one.obey(parsed.command) : say(says.notUnderstood(parsed.problem, parsed.verb));
}

class Conversation {
  readonly #talk: Talk;
  readonly #inbound: ChatInbound;
  readonly #known: Known;
  readonly #caller: Caller;
  readonly #origin: Origin;

  constructor(talk: Talk, inbound: ChatInbound, known: Known) {
    this.#talk = talk;
    this.#inbound = inbound;
    this.#known = known;
    const { platform, workspace } = talk;
    this.#origin = {
      place: [platform, workspace, ...(inbound.channel === undefined ? [] : [inbound.channel])].join("/"),
    };
    this.#caller = { kind: "chat", workspace: talk.workspace, user: inbound.person.id };
  }

  async obey(command: Command): Promise<Reply> {
    if (command.verb === "help") return say(says.help());
    if (command.verb === "connect") return this.#connect(command.code);
    const connection = this.#connectionOf(command);
    if (typeof connection !== "string") return connection;
    switch (command.verb) {
      case "use":
        await this.#talk.register.use(this.#inbound.person.id, connection);
        return say(says.uses(connection));
      case "disconnect":
        await this.#talk.tracker(connection).unlinkPerson(this.#talk.workspace, this.#inbound.person.id, this.#origin);
        await this.#talk.register.unlinked(this.#inbound.person.id, connection);
        return say(says.disconnected(connection));
      case "submit":
        return command.request === undefined
          ? this.#openForm(connection)
          : this.#submit(connection, command.request, command.here);
      case "watch":
        return this.#started(connection, command.here, (tracker, options) =>
          tracker.watch(this.#caller, command.request, options),
        );
      case "queue":
        return this.#queue(connection, command.system);
      case "get":
        return "job" in command.of
          ? this.#ofJob(connection, command.of.job, (job) => this.#results(job))
          : this.#fetchFile(connection, command.of);
      case "status":
        return this.#ofJob(connection, command.job, (job) => this.#status(job));
      case "cancel":
        return this.#ofJob(connection, command.job, (job) => this.#cancel(connection, job.id));
      case "logs":
        return this.#ofJob(connection, command.job, (job) => this.#logs(job, command.stream));
      case "resubmit":
        return this.#ofJob(connection, command.job, (job) => this.#again(job, command.resources, command.here));
    }
  }

  /** The button says which job; who pressed it says whether that is theirs to touch. */
  async press({ connection, job: id, act, proposal }: BoundAction): Promise<Reply> {
    if (this.#known.links.length === 0) return say(says.unlinked());
    if (!this.#known.links.includes(connection)) return say(says.notLinkedTo(connection, this.#known));
    return this.#ofJob(connection, id, (job) => {
      switch (act) {
        case "cancel":
          return this.#cancel(connection, id);
        case "logs":
          return this.#logs(job, "stdout");
        case "fetch":
          return this.#results(job);
        case "resubmit":
        case "more":
          return this.#resubmit(job, proposal);
      }
    });
  }

  async submitForm(connection: string, values: Readonly<Record<string, string>>): Promise<Reply> {
    if (!this.#known.links.includes(connection)) return { kind: "errors", errors: { script: "your link has ended" } };
    const form = readForm(values);
    if (!form.ok) return { kind: "errors", errors: form.errors };
    const options = await this.#options(form.here);
    const answer = await this.#talk.tracker(connection).acceptJob(this.#caller, form.request, options);
    if (answer.ok) return NOTHING;
    const { message } = this.#refused(answer, connection);
    const errors = answer.code === "invalid" ? errorsByField(answer.errors ?? []) : {};
    return { kind: "errors", errors: Object.keys(errors).length > 0 ? errors : { script: message.title } };
  }

  // ------------------------------------------------------------------------------------------------------------- links

  async #connect(code: string | undefined): Promise<Reply> {
    const { register, workspace } = this.#talk;
    const { person } = this.#inbound;
    if (code === undefined) return say(this.#known.links.length === 0 ? says.unlinked() : says.links(this.#known));
    if (!(await register.mayTry(person.id))) return say(says.tooManyTries());
    const connection = connectionOfCode(code);
    if (connection === undefined) return say(says.wrongCode());
    const link = await this.#talk.tracker(connection).linkPerson(workspace, person, code, this.#origin);
    if (!link.ok) return say(says.wrongCode());
    await register.linked(person, connection);
    return say(says.linked(connection, link.value));
  }

  /** Which connection a command is for, or why it is for none. */
  #connectionOf(command: Command): string | Reply {
    const { links, connection } = this.#known;
    if (links.length === 0) return say(says.unlinked());
    const wanted = "connection" in command ? command.connection : (command.on ?? connection ?? links.at(-1) ?? "");
    return links.includes(wanted) ? wanted : say(says.notLinkedTo(wanted, this.#known));
  }

  // -------------------------------------------------------------------------------------------------------------- jobs

  async #openForm(connection: string): Promise<Reply> {
    const { triggerId, channel } = this.#inbound;
    if (this.#talk.openForm === undefined) return say(says.noForms());
    const described = await this.#talk.tracker(connection).describe(this.#caller);
    if (!described.ok) return this.#refused(described, connection);
    const metadata = { connection, ...(channel === undefined ? {} : { channel }) };
    const systems = described.value.systems.map(({ name }) => name);
    const isOpen = triggerId !== undefined && (await this.#talk.openForm(triggerId, metadata, systems));
    return isOpen ? NOTHING : say(says.formNotOpened());
  }

  /** A script on the site takes no resources: with some, its text is submitted as it is there now. */
  async #submit(connection: string, request: JobRequest, here: boolean): Promise<Reply> {
    const { scriptPath, ...rest } = request;
    const start = (asked: JobRequest) =>
      this.#started(connection, here, (tracker, options) => tracker.acceptJob(this.#caller, asked, options));
    if (scriptPath === undefined || request.resources === undefined) return start(request);
    const script = await this.#talk.script(connection, this.#caller, request.system, scriptPath);
    return script.ok ? start({ ...rest, script: script.value }) : this.#refused(script, connection);
  }

  async #again(job: Job, resources: Resources | undefined, here: boolean): Promise<Reply> {
    const change = await this.#changeOf(job, resources);
    if (!change.ok) return this.#refused(change, job.connection);
    return this.#started(job.connection, here, (tracker, options) =>
      tracker.resubmit(this.#caller, job.id, change.value, options),
    );
  }

  async #changeOf({ connection, id, system }: Job, resources: Resources | undefined): Promise<Answer<ResubmitRequest>> {
    if (resources === undefined) return { ok: true, value: {} };
    const provided = await this.#talk.tracker(connection).provided(this.#caller, id);
    if (!provided.ok) return provided;
    const { scriptPath } = provided.value;
    if (scriptPath === undefined) return { ok: true, value: { resources } };
    const script = await this.#talk.script(connection, this.#caller, system, scriptPath);
    return script.ok ? { ok: true, value: { resources, script: script.value } } : script;
  }

  async #started(
    connection: string,
    here: boolean,
    start: (tracker: ChatTracker, options: Options) => Promise<Answer<{ job: Job }>>,
  ): Promise<Reply> {
    const answer = await start(this.#talk.tracker(connection), await this.#options(here));
    return answer.ok ? say(says.started(answer.value.job, here)) : this.#refused(answer, connection);
  }

  /** The request's own name makes its repeats the same; the job's message goes where the person said. */
  async #options(here: boolean): Promise<Options & { idempotency: Idempotency }> {
    const { id, channel, person } = this.#inbound;
    const { workspace, platform } = this.#talk;
    const place: ChatPlace = here && channel !== undefined ? { workspace, channel } : { workspace, user: person.id };
    const content = await sha256Hex(JSON.stringify(this.#inbound));
    return {
      origin: this.#origin,
      chat: { place, platform },
      idempotency: { route: `chat ${workspace}`, key: id, bodySha256: content },
    };
  }

  async #ofJob(connection: string, word: string, then: (job: Job) => Reply | Promise<Reply>): Promise<Reply> {
    const tracker = this.#talk.tracker(connection);
    if (JobId.safeParse(word).success) {
      const answer = await tracker.job(this.#caller, word);
      return answer.ok ? then(answer.value) : this.#refused(answer, connection);
    }
    const page = await tracker.jobs(this.#caller, { limit: LOOKED_THROUGH });
    if (!page.ok) return this.#refused(page, connection);
    const job = page.value.items.find(({ schedulerId }) => schedulerId === word);
    return job === undefined ? say(says.refused({ ok: false, code: "not_found" })) : then(job);
  }

  async #status(job: Job): Promise<Reply> {
    const provided = await this.#talk.tracker(job.connection).provided(this.#caller, job.id);
    const extras = provided.ok ? provided.value : {};
    const values = await bindActions(this.#talk.actionKey, job, suggestion(job, extras));
    return say(jobMessage(job, { ...extras, values }));
  }

  async #cancel(connection: string, id: string): Promise<Reply> {
    const answer = await this.#talk.tracker(connection).cancelJob(this.#caller, id, this.#origin);
    return answer.ok ? say(says.cancelling(answer.value)) : this.#refused(answer, connection);
  }

  async #logs(job: Job, stream: "stdout" | "stderr"): Promise<Reply> {
    const answer = await this.#talk.logs(job.connection, this.#caller, job.id, stream);
    return answer.ok ? say(says.logs(job, stream, answer.value)) : this.#refused(answer, job.connection);
  }

  /** Links for whoever asks, made as they ask: nobody else sees this answer. */
  async #results(job: Job): Promise<Reply> {
    const stored = job.outputs.filter(({ status }) => status === "stored").slice(0, BOUNDS.links);
    const ids = stored.map(({ transferId }) => transferId);
    const shared = await this.#talk.tracker(job.connection).shareStored(this.#caller, ids, this.#origin);
    if (!shared.ok) return this.#refused(shared, job.connection);
    const links = shared.value.map((one) => resultLink(this.#talk.publicUrl, one));
    return say(says.results(job, links));
  }

  /** Once for each message, whichever of its buttons is pressed, however often and by however many. */
  async #resubmit(job: Job, proposal: Proposal | undefined): Promise<Reply> {
    const { register } = this.#talk;
    const { connection } = job;
    const act = `resubmit ${connection} ${job.id}`;
    const claimed = await register.claim(act, this.#inbound.person.id);
    if (!claimed.go) return say(says.alreadyPressed(claimed.said));
    const change = await this.#changeOf(job, proposal);
    const answer = change.ok
      ? await this.#talk.tracker(connection).resubmit(this.#caller, job.id, change.value, await this.#options(true))
      : change;
    if (!answer.ok) {
      await register.settle(act);
      return this.#refused(answer, connection);
    }
    await register.settle(act, `It was submitted again as ${answer.value.job.id}.`);
    return say(says.started(answer.value.job, true));
  }

  async #queue(connection: string, system: string | undefined): Promise<Reply> {
    const query = { limit: SHOWN, ...(system === undefined ? {} : { system }) };
    const page = await this.#talk.tracker(connection).jobs(this.#caller, query);
    if (!page.ok) return this.#refused(page, connection);
    return say(says.queue(page.value.items, connection, page.value.cursor !== undefined));
  }

  async #fetchFile(connection: string, of: { system: string; path: string; key?: string }): Promise<Reply> {
    const name = of.path.split("/").filter(Boolean).at(-1) ?? "file";
    const request: TransferRequest = {
      direction: "download",
      system: of.system,
      path: of.path,
      key: of.key ?? `chat/${this.#inbound.person.id}/${name}`,
      // What we named may be fetched anew; what the person named is theirs to clear away.
      overwrite: of.key === undefined,
    };
    const options = await this.#options(false);
    const answer = await this.#talk.tracker(connection).acceptTransfer(this.#caller, request, options);
    if (!answer.ok) return this.#refused(answer, connection);
    return say(says.fetching(answer.value.transfer));
  }

  #refused(refusal: Refusal, connection: string): { kind: "say"; message: Message } {
    const message = says.refused(refusal);
    return { kind: "say", message: { ...message, footer: connection } };
  }
}
