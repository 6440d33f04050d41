/** The proof of a copy, as the consumer of `commands` works on it: looks at the HPC side, and small jobs that hash there. */
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import {
  type ManifestFile,
  manifestName,
  manifestScript,
  parseManifest,
  splitScript,
} from "../../shared/firecrest/manifest.ts";
import { resolvePath } from "../../shared/firecrest/paths.ts";
import type { FileStat, Firecrest } from "../../shared/firecrest/port.ts";
import { composeScript } from "../../shared/firecrest/script.ts";
import { tagOf } from "../../shared/ids.ts";
import type { FarOutcome, FarWork, ManifestPlace } from "./far.ts";

type Work<K extends FarWork["kind"]> = Extract<FarWork, { kind: K }>;

export async function verify(work: Work<"verify">, firecrest: Firecrest): Promise<FarOutcome> {
  const stat = await firecrest.files.stat(work.system, work.path, { dereference: true });
  const sha256 = work.wantsHash ? await checksum(work, firecrest) : undefined;
  const manifest = sha256 === undefined ? await findManifest(work, stat, firecrest) : undefined;
  return {
    kind: "verified",
    stat,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(manifest === undefined ? {} : { manifest: { sha256: manifest.sha256, parts: manifest.parts } }),
  };
}

/** The site's limit for one command is a few seconds: a large file cannot be hashed there, its size and time still can be told. */
export async function checksum(
  { system, path }: { system: string; path: string },
  firecrest: Firecrest,
): Promise<string | undefined> {
  try {
    return await firecrest.files.checksum(system, path);
  } catch (error) {
    if (error instanceof FirecrestError && error.code === "command_timeout") return undefined;
    throw error;
  }
}

/** The first manifest that was made of the file as it is now: of the same size, at the same time. */
async function findManifest(
  { system, path, manifests }: Work<"verify">,
  stat: FileStat,
  firecrest: Firecrest,
): Promise<ManifestFile | undefined> {
  for (const place of manifests) {
    const files = await readManifest(system, place, firecrest);
    const fresh = files.find(({ path: listed, size, mtime }) => {
      const resolved = resolvePath(place.directory, listed);
      return resolved.ok && resolved.path === path && size === stat.size && mtime === Math.floor(stat.mtime);
    });
    if (fresh !== undefined) return fresh;
  }
  return undefined;
}

/** One that is not there, or that the site cannot show, is as good as none: another one will be made. */
async function readManifest(
  system: string,
  { directory, tag }: ManifestPlace,
  firecrest: Firecrest,
): Promise<ManifestFile[]> {
  try {
    const text = await firecrest.files.view(system, `${directory}/${manifestName(tag)}`);
    return parseManifest(text, tag)?.files ?? [];
  } catch (error) {
    if (error instanceof FirecrestError && error.retry === "never") return [];
    throw error;
  }
}

/** Slow disks read this much in a second; what is left is for the queue's own work. */
const SLOWEST_BYTES_PER_SECOND = 50_000_000;
const LEAST_SECONDS = 600;
const MOST_SECONDS = 24 * 3_600;

/** Pure, so it comes out the same each time: an errand that was lost and is sent again is the same one. */
export async function submitErrand(work: Work<"hash" | "split">, firecrest: Firecrest): Promise<FarOutcome> {
  const { kind, system, scheduler = "slurm" } = work;
  const { paths, bytes, cut } = work.errand;
  const tag = tagOf(work.id);
  const seconds = Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, Math.ceil(bytes / SLOWEST_BYTES_PER_SECOND) + 300));
  const composed = composeScript({
    api: work.site.api,
    tag,
    name: `fw-${kind}`,
    script: cut === undefined ? manifestScript({ tag, paths }) : splitScript({ tag, path: paths[0] ?? "", ...cut }),
    ...(scheduler.toLowerCase() === "slurm" ? { resources: { nodes: 1, tasks: 1, timeLimitSeconds: seconds } } : {}),
  });
  if (!composed.ok || composed.script === undefined) throw new Error("the script of an errand cannot be composed");
  const account = work.errand.account ?? work.site.account;
  const result = await firecrest.submit({
    system,
    script: composed.script,
    ...(composed.jobName === undefined ? {} : { name: composed.jobName }),
    ...(account === undefined ? {} : { account }),
  });
  if (result.outcome === "pending") return { kind: "pending", handle: result.handle };
  const { schedulerId, workingDirectory } = result;
  return { kind: "submitted", schedulerId, ...(workingDirectory === undefined ? {} : { workingDirectory }) };
}
