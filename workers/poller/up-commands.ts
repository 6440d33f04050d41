/** Effects of uploads on FirecREST, as the consumer of `commands` carries them out. */
import { routeOf } from "../../shared/domain/upload.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { FileStat, Firecrest } from "../../shared/firecrest/port.ts";
import type { FarOutcome, FarWork } from "./far.ts";

type Work<K extends FarWork["kind"]> = Extract<FarWork, { kind: K }>;

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const refusal = (message: string, code: FirecrestError["code"]): FirecrestError =>
  new FirecrestError(message, { code, retry: "never" });

/** Looks at the target before anything moves; then small files may go at once, and others get a place to be staged in. */
export async function upload(work: Work<"upload">, firecrest: Firecrest): Promise<FarOutcome> {
  const { system, path, bytes, limits } = work;
  const route = routeOf(bytes, limits);
  if (route === undefined)
    throw refusal(`the file has ${bytes} bytes; the site takes at most ${limits.stagingMaxBytes}`, "too_large");
  const there = await statOf(firecrest, system, path);
  if (there?.isDirectory) throw refusal(`${path} is a directory`, "is_a_directory");
  if (there !== undefined && !work.overwrite)
    throw refusal(`${path} is there already; ask with overwrite: true to replace it`, "already_exists");
  if (there === undefined) await requireDirectory(work, firecrest);
  if (route === "direct") return { kind: "free" };
  const { handle, form } = await firecrest.stageUpload(system, path, bytes, work.account ?? work.site.account);
  return { kind: "placed", handle, ...(form === undefined ? {} : { form }) };
}

async function requireDirectory({ system, path, makesDirectory }: Work<"upload">, firecrest: Firecrest): Promise<void> {
  const directory = parentOf(path);
  const there = await statOf(firecrest, system, directory);
  if (there?.isDirectory) return;
  if (there !== undefined) throw refusal(`${directory} is not a directory`, "not_a_directory");
  if (!makesDirectory) throw refusal(`the directory ${directory} does not exist`, "not_found");
  await firecrest.files.mkdir(system, directory, { parents: true });
}

/** Undefined where there is nothing. */
async function statOf(firecrest: Firecrest, system: string, path: string): Promise<FileStat | undefined> {
  try {
    return await firecrest.files.stat(system, path, { dereference: true });
  } catch (error) {
    if (error instanceof FirecrestError && error.code === "not_found") return undefined;
    throw error;
  }
}

/** The whole file in one request. The target was looked at, so doing it twice writes the same twice. */
export async function deliver(
  { system, path, source }: Work<"deliver">,
  firecrest: Firecrest,
  objects: R2Bucket,
): Promise<FarOutcome> {
  const object = await objects.get(source.objectKey, { onlyIf: { etagMatches: source.etag } });
  if (object === null) return { kind: "source_gone", why: "missing" };
  if (!("body" in object)) return { kind: "source_gone", why: "changed" };
  const content = new Uint8Array(await object.arrayBuffer());
  await firecrest.files.upload(system, parentOf(path), nameOf(path), content);
  return { kind: "delivered" };
}
