/**
 * What FirecREST would be sent, word for word: the real client does its work on a wire that writes everything down and ends at
 * the request that would start something. Nothing leaves.
 */
import type { FirecrestRequest } from "../../shared/contract/hook.ts";
import type { Answer, FieldProblem, Started } from "../../shared/contract/rpc.ts";
import type { Desk } from "./accept.ts";
import type { Actor } from "./access.ts";
import { directoryOf, submissionOf } from "./commands.ts";
import { examineJob, pingUrl, transferProblems } from "./examine.ts";
import { clientOf } from "./site.ts";

/** Requests that look or prepare, and answers that let the client go on to the one that counts. */
const GOING_ON: readonly (readonly [path: RegExp, answer: unknown])[] = [
  [/\/ops\/mkdir$/, { output: { name: "directory", type: "d" } }],
  [/\/ops\/stat$/, { output: { size: 1, mode: 0o100644, mtime: 0 } }],
  [/\/utilities\/upload$/, {}],
];

/** Stands for the name that only the site knows. */
const USER = "USER";

export async function preview(
  desk: Desk,
  actor: Actor,
  started: Started,
): Promise<Answer<{ requests: FirecrestRequest[]; problems: FieldProblem[] }>> {
  const { house, site } = desk;
  const config = site.config();
  const wire = createRecorder();
  const { requests } = wire;
  const client = clientOf(config, wire, {
    token: async () => "none",
    now: house.now,
    sleep: async () => {},
    log: () => {},
  });
  const recorded = async (send: () => Promise<unknown>): Promise<void> => {
    await send().catch((error: unknown) => {
      if (!wire.isOver()) throw error;
    });
  };

  const { request } = started;
  if (started.outcome === "transfer") {
    const problems = transferProblems(desk, actor, started.request);
    const { system, path, account = config.account } = started.request;
    if (problems.length === 0) await recorded(() => client.stage(system, path, account));
    return { ok: true, value: { requests, problems } };
  }
  const job = started.request;
  const id = house.id("job");
  const pingToken = job.ping === true ? "token" : undefined;
  const { composed, problems } = examineJob(desk, actor, job, id, pingToken);
  if (problems.length > 0 || !composed.ok) return { ok: true, value: { requests, problems } };
  const systems = site.facts()?.systems ?? [];
  const workingDirectory =
    job.workingDirectory ?? (config.api === "v2" ? directoryOf(systems, request.system, USER, id) : undefined);
  const work = { site: config, system: job.system, jobId: id };
  const ping = pingToken === undefined ? {} : { ping: pingUrl(house, id, pingToken) };
  await recorded(() => client.submit(submissionOf({ ...work, ...ping }, job, workingDirectory)));
  return { ok: true, value: { requests, problems } };
}

/** A wire that writes down what changes something, and breaks at the request that counts. */
function createRecorder() {
  const requests: FirecrestRequest[] = [];
  let over = false;
  return {
    requests,
    isOver: () => over,
    async stream(url: string, init: RequestInit): Promise<Response> {
      if (init.method !== "GET") requests.push(await written(url, init));
      const goingOn = GOING_ON.find(([path]) => path.test(new URL(url).pathname));
      if (goingOn !== undefined) return Response.json(goingOn[1], { status: 201 });
      over = true;
      throw new Error("nothing leaves a preview");
    },
  };
}

async function written(url: string, { method = "POST", headers, body }: RequestInit): Promise<FirecrestRequest> {
  const shown = new Headers(headers);
  shown.delete("authorization");
  const request: FirecrestRequest = { method, url, headers: Object.fromEntries(shown) };
  if (typeof body === "string") return { ...request, json: JSON.parse(body) as unknown };
  if (body instanceof URLSearchParams) return { ...request, form: Object.fromEntries(body) };
  if (!(body instanceof FormData)) return request;
  const form: Record<string, string> = {};
  let file: FirecrestRequest["file"];
  for (const [name, value] of body as unknown as Iterable<[string, string | File]>) {
    if (typeof value === "string") form[name] = value;
    else file = { name: value.name, content: await value.text() };
  }
  return { ...request, form, ...(file === undefined ? {} : { file }) };
}
