/** Tasks: how v1 tells what became of a request. One record each, kept for a day (compute) or the life of a link (storage). */
import type { Store } from "../store.ts";
import { localTime } from "./rows.ts";

/** Descriptions as they are on the wire, slips included. */
const DESCRIPTIONS = {
  "100": "Queued",
  "110": "Waiting for Form URL from Object Storage to be retrieved",
  "111": "Form URL from Object Storage received",
  "112": "Object Storage confirms that upload to Object Storage has finished",
  "113": "Download from Object Storage to server has started",
  "114": "Download from Object Storage to server has finished",
  "115": "Download from Object Storage error",
  "116": "Started upload from filesystem to Object Storage",
  "117": "Upload from filesystem to Object Storage has finished succesfully",
  "118": "Upload from filesystem to Object Storage has finished with errors",
  "200": "Finished successfully",
  "302": "Task not longer valid",
  "400": "Finished with errors",
} as const;
export type TaskStatus = keyof typeof DESCRIPTIONS;

export interface TaskRecord {
  id: string;
  user: string;
  service: "compute" | "storage";
  system: string;
  status: TaskStatus;
  data: unknown;
  createdAt: number;
  updatedAt: number;
  /** Object in the staging area that belongs to the task. */
  staged?: { bucket: string; key: string };
  /** An upload: where the object goes, and what the list view of the real server lets slip. */
  upload?: { source: string; target: string; secrets: Record<string, unknown> };
  /** Invalidated at this moment. */
  invalidatedAt?: number;
}

/** After `invalidate` the list view of the real server goes on for that long. */
const DELETED_LINGERS_MS = 300_000;
const PRUNE_EVERY_MS = 600_000;

export interface TasksOptions {
  store: Store;
  now(): number;
  storageLifeMs: number;
  computeLifeMs: number;
  /** Reproduces the two views of 1.16.6 that disagree. */
  viewsDisagree: boolean;
}

export class Tasks {
  readonly #options: TasksOptions;
  #pruneAt = 0;

  constructor(options: TasksOptions) {
    this.#options = options;
  }

  create(user: string, service: TaskRecord["service"], system: string): TaskRecord {
    this.#prune();
    const now = this.#options.now();
    const id = crypto.randomUUID().replaceAll("-", "");
    const task: TaskRecord = {
      id,
      user,
      service,
      system,
      status: "100",
      data: "Queued",
      createdAt: now,
      updatedAt: now,
    };
    this.#save(task);
    return task;
  }

  update(
    id: string,
    status: TaskStatus,
    data: unknown,
    more: Partial<Pick<TaskRecord, "staged" | "upload">> = {},
  ): void {
    const task = this.find(id);
    if (task === undefined || task.invalidatedAt !== undefined) return;
    this.#save({ ...task, ...more, status, data, updatedAt: this.#options.now() });
  }

  invalidate(task: TaskRecord): void {
    this.#save({ ...task, invalidatedAt: this.#options.now() });
  }

  find(id: string): TaskRecord | undefined {
    return this.#options.store.get<TaskRecord>(`task/${id}`);
  }

  all(): TaskRecord[] {
    return this.#options.store.entries<TaskRecord>("task/").map(({ value }) => value);
  }

  /** Ends tasks whose work was cut off by a restart. The real server leaves them at 100 for ever. */
  endInterrupted(): void {
    for (const task of this.all()) {
      if (["100", "110", "116"].includes(task.status)) this.update(task.id, "400", "The server was restarted");
    }
  }

  /** As `GET /tasks/{id}` shows it. */
  single(task: TaskRecord): Record<string, unknown> {
    const shown = task.invalidatedAt === undefined ? task : { ...task, status: "302" as const, data: "" };
    return { ...this.#view(shown), task_url: `/tasks/${task.id}` };
  }

  /** As `GET /tasks` shows them: a map by id, without those of others, expired or unknown ones. */
  list(user: string, ids: string[] | undefined): Record<string, Record<string, unknown>> {
    const chosen = ids === undefined ? this.all() : ids.map((id) => this.find(id)).filter((task) => task !== undefined);
    const visible = chosen.filter((task) => task.user === user && !this.#isExpired(task));
    return Object.fromEntries(visible.map((task) => [task.id, this.#listView(task)]));
  }

  #listView(task: TaskRecord): Record<string, unknown> {
    if (!this.#options.viewsDisagree) {
      return this.#view(task.invalidatedAt === undefined ? task : { ...task, status: "302", data: "" });
    }
    const secrets = task.upload?.secrets;
    const data = task.data as { msg?: Record<string, unknown> } | undefined;
    const showsSecrets = secrets !== undefined && (task.status === "111" || task.status === "115");
    return this.#view(showsSecrets ? { ...task, data: { ...data, msg: { ...data?.msg, ...secrets } } } : task);
  }

  #view(task: TaskRecord): Record<string, unknown> {
    return {
      task_id: task.id,
      hash_id: task.id,
      user: task.user,
      service: task.service,
      system: task.system,
      status: task.status,
      description: DESCRIPTIONS[task.status],
      data: task.data,
      created_at: localTime(task.createdAt),
      updated_at: localTime(task.updatedAt),
      last_modify: localTime(task.updatedAt),
    };
  }

  #isExpired(task: Omit<TaskRecord, "invalidatedAt"> & { invalidatedAt?: number | undefined }): boolean {
    const now = this.#options.now();
    if (task.invalidatedAt !== undefined && now >= task.invalidatedAt + DELETED_LINGERS_MS) return true;
    return (
      now >= task.updatedAt + (task.service === "compute" ? this.#options.computeLifeMs : this.#options.storageLifeMs)
    );
  }

  /** Now and then; `GET /tasks/{id}` goes on to answer for what the list no longer shows. */
  #prune(): void {
    const now = this.#options.now();
    if (now < this.#pruneAt) return;
    this.#pruneAt = now + PRUNE_EVERY_MS;
    for (const task of this.all())
      if (this.#isExpired({ ...task, invalidatedAt: undefined })) this.#options.store.delete(`task/${task.id}`);
  }

  #save(task: TaskRecord): void {
    this.#options.store.set(`task/${task.id}`, task);
  }
}
