/** What `AGAIN` promises of each operation is what both clients say when an answer is lost. */
import { describe, expect, it } from "vitest";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Firecrest, Handle } from "../../shared/firecrest/port.ts";
import { AGAIN } from "../../shared/firecrest/retry.ts";
import { composeScript } from "../../shared/firecrest/script.ts";
import { embeddedSite } from "../support/embedded-site.ts";

const S = "cluster";
type Method = keyof typeof AGAIN;
interface Scene {
  client: Firecrest;
  home: string;
  handle: Handle;
  jobId: string;
  script: string;
}

const REQUEST = { nodes: 1, nodeType: "gpu", startsAt: "2030-01-01T08:00:00", endsAt: "2030-01-01T09:00:00" };

/** One call of each operation, on a site with `a.txt`, the directory `d`, a running job and a staged file. */
const CALLS: Record<Exclude<Method, "probe">, (scene: Scene) => Promise<unknown>> = {
  systems: ({ client }) => client.systems(),
  parameters: ({ client }) => client.parameters(),
  services: ({ client }) => client.services(),
  service: ({ client }) => client.service(client.api === "v1" ? "compute" : "cluster/scheduler"),
  heartbeats: ({ client }) => client.heartbeats(),
  whoami: ({ client }) => client.whoami(S),
  nodes: ({ client }) => client.nodes(S),
  partitions: ({ client }) => client.partitions(S),
  reservations: ({ client }) => client.reservations(S),
  submit: ({ client, script, home }) => client.submit({ system: S, script, name: "again", workingDirectory: home }),
  cancel: ({ client, jobId }) => client.cancel(S, jobId),
  attach: ({ client, jobId }) => client.attach(S, jobId, "true"),
  round: ({ client, jobId }) =>
    client.round(S, [{ schedulerId: jobId, acceptedAt: 0, status: "running", confirm: true }]),
  findByName: ({ client }) => client.findByName(S, "nobody", 0),
  outputPaths: ({ client, jobId }) => client.outputPaths(S, jobId),
  stage: ({ client, home }) => client.stage(S, `${home}/a.txt`),
  findStaged: ({ client, home }) => client.findStaged(S, `${home}/a.txt`, 0),
  findUpload: ({ client, home }) => client.findUpload(S, `${home}/a.txt`, 0),
  stageUpload: ({ client, home }) => client.stageUpload(S, `${home}/new`, 10),
  fileJob: ({ client, home }) => client.fileJob(S, { op: "copy", from: `${home}/a.txt`, to: `${home}/b.txt` }),
  observe: ({ client, handle }) => client.observe([handle]),
  release: ({ client, handle }) => client.release(handle),
  "files.ls": ({ client, home }) => client.files.ls(S, home),
  "files.stat": ({ client, home }) => client.files.stat(S, home),
  "files.head": ({ client, home }) => client.files.head(S, `${home}/a.txt`),
  "files.tail": ({ client, home }) => client.files.tail(S, `${home}/a.txt`),
  "files.view": ({ client, home }) => client.files.view(S, `${home}/a.txt`),
  "files.checksum": ({ client, home }) => client.files.checksum(S, `${home}/a.txt`),
  "files.fileType": ({ client, home }) => client.files.fileType(S, `${home}/a.txt`),
  "files.download": ({ client, home }) => client.files.download(S, `${home}/a.txt`),
  "files.mkdir": ({ client, home }) => client.files.mkdir(S, `${home}/new`),
  "files.symlink": ({ client, home }) => client.files.symlink(S, `${home}/a.txt`, `${home}/link`),
  "files.chmod": ({ client, home }) => client.files.chmod(S, `${home}/a.txt`, "600"),
  "files.chown": ({ client, home }) => client.files.chown(S, `${home}/a.txt`, "alice"),
  "files.remove": ({ client, home }) => client.files.remove(S, `${home}/a.txt`),
  "files.upload": ({ client, home }) => client.files.upload(S, home, "c.txt", new Uint8Array([1])),
  "files.move": ({ client, home }) => client.files.move(S, `${home}/a.txt`, `${home}/b.txt`),
  "files.copy": ({ client, home }) => client.files.copy(S, `${home}/a.txt`, `${home}/b.txt`),
  "files.compress": ({ client, home }) => client.files.compress(S, `${home}/d`, `${home}/d.tar.gz`),
  "files.extract": ({ client, home }) => client.files.extract(S, `${home}/a.txt`, `${home}/d`),
  "reserving.list": ({ client }) => client.reserving.list(S),
  "reserving.create": ({ client }) => client.reserving.create(S, "class", "csstaff", REQUEST),
  "reserving.change": ({ client }) => client.reserving.change(S, "class", REQUEST),
  "reserving.remove": ({ client }) => client.reserving.remove(S, "class"),
};

/** Requests that come before the one that counts. */
const BEFORE: Partial<Record<Method, RegExp>> = { submit: /\/(ops\/mkdir|utilities\/upload)$/ };
/** What an API refuses by itself, and what it asks nobody for. */
const SILENT: Record<"v1" | "v2", RegExp> = { v1: /^attach$/, v2: /^(findStaged|findUpload|reserving\.\w+)$/ };
const RETRY = { blindly: "later", after_check: "after_check", never: "after_check" } as const;

describe.each(["v1", "v2"] as const)("when the answer of a %s site is lost", (api) => {
  async function scene(): Promise<Scene & { lose(method: Method): void }> {
    const site = await embeddedSite(api);
    const { client } = site;
    const home = `/scratch/${site.user}`;
    await client.files.upload(S, home, "a.txt", new TextEncoder().encode("a"));
    await client.files.mkdir(S, `${home}/d`);
    const composed = composeScript({
      api,
      script: "#!/bin/bash -l\n#FAKE sleep 3600\n",
      name: "a",
      tag: "0123456789abc",
    });
    if (!composed.ok || composed.script === undefined) throw new Error("not composed");
    const { script } = composed;
    const submitted = await client.submit({ system: S, script, name: "first", workingDirectory: home });
    if (submitted.outcome !== "submitted") throw new Error("not submitted");
    const handle = await client.stage(S, `${home}/a.txt`);
    return {
      client,
      home,
      handle,
      script,
      jobId: submitted.schedulerId,
      lose(method) {
        const before = BEFORE[method];
        const counts = before === undefined ? /./ : new RegExp(`^(?!.*${before.source})`);
        const changes = ["POST", "PUT", "DELETE"];
        for (const verb of AGAIN[method] === "blindly" ? ["GET", ...changes] : changes) site.loseAnswerTo(verb, counts);
      },
    };
  }

  const asks = (Object.keys(CALLS) as (keyof typeof CALLS)[]).filter((method) => !SILENT[api].test(method));
  it.each(asks)("%s says whether it may be sent again", async (method) => {
    const site = await scene();
    site.lose(method);
    const outcome = await CALLS[method](site).catch((error: unknown) => error);
    // A look at a link asks the object store, which is not the site.
    if (api === "v2" && method === "observe") return expect(outcome).toMatchObject([{ state: expect.any(String) }]);
    expect(outcome).toBeInstanceOf(FirecrestError);
    expect(outcome).toMatchObject({ retry: RETRY[AGAIN[method]] });
  });
});
