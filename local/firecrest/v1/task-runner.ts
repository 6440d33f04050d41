/** Starting tasks: the answer goes out at once, the work goes on behind it. */
import { ToolError } from "../host.ts";
import type { Site } from "../site.ts";
import { type Ctx, json, oneLine } from "./answers.ts";
import { occasionOf } from "./occasion.ts";
import type { TaskRecord, Tasks } from "./tasks.ts";

/** Characters that the real server's signer of commands refuses. */
const UNSIGNABLE = /[;|<>()'"\\`\n]/;

/** A task as it begins. `link`: whether the answer holds its address. */
interface Start {
  status: 200 | 201;
  service: TaskRecord["service"];
  system: string;
  link?: boolean;
}

export class TaskRunner {
  readonly tasks: Tasks;
  readonly #site: Site;

  constructor(site: Site, tasks: Tasks) {
    this.#site = site;
    this.tasks = tasks;
  }

  /** A compute task: its result becomes `data` at 200, the text of a failed command `data` at 400. */
  start(c: Ctx, start: Start, work: (taskId: string) => Promise<unknown>): Response {
    return this.launch(c, start, async (task) => {
      try {
        const data = await work(task.id);
        return () => this.tasks.update(task.id, "200", data);
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        return () => this.tasks.update(task.id, "400", oneLine(error.stderr));
      }
    });
  }

  /** A task with a life of its own. The work returns how to show its end; a stuck task does the work and shows nothing. */
  launch(
    c: Ctx,
    { status, service, system, link = true }: Start,
    work: (task: TaskRecord) => Promise<() => void>,
  ): Response {
    const task = this.tasks.create(c.var.bearer.user, service, system);
    const stuck = this.#site.faults.strike("task_stuck", occasionOf(c));
    if (stuck === undefined || stuck.effect) {
      this.#site.background(
        work(task).then(
          (show) => {
            if (stuck === undefined) show();
          },
          () => this.tasks.update(task.id, "400", "Finished with errors"),
        ),
      );
    }
    return this.#created(c, status, task, link);
  }

  /** A task that nobody works on: it stays at 100. */
  orphan(c: Ctx, service: TaskRecord["service"], system: string): Response {
    return this.#created(c, 200, this.tasks.create(c.var.bearer.user, service, system), true);
  }

  #created(c: Ctx, status: 200 | 201, task: TaskRecord, link: boolean): Response {
    const body = { success: "Task created", task_id: task.id };
    return json(c, status, link ? { ...body, task_url: `/tasks/${task.id}` } : body);
  }
}

/** Throws what becomes of a command whose argument cannot be signed. */
export function requireSignable(text: string): void {
  if (UNSIGNABLE.test(text)) throw new ToolError("certificator", 1, "Invalid command");
}
