/**
 * What the site submits for its users: batch scripts with a log for words and one for errors. File operations report
 * COMPLETED whatever happened, as the last command is an `echo`; only the phrase in the log tells.
 */
import type { Compression, Files, JobRequest, Seat } from "../host.ts";
import { ToolError } from "../host.ts";
import { type Egress, type Ingress, moveBytes, type Surroundings } from "./byte-mover.ts";

export type FileOperation =
  | { op: "mv" | "cp"; path: string; targetPath: string; dereference: boolean }
  | { op: "rm"; path: string }
  | {
      op: "compress";
      path: string;
      targetPath: string;
      dereference: boolean;
      matchPattern: string | undefined;
      compression: string;
    }
  | { op: "extract"; path: string; targetPath: string; compression: string };

/** Title in the log, past participle of the phrase, name of the job. Extraction runs under the name of compression. */
const WORDS: Record<FileOperation["op"], { title: string; verb: string; done: string; name: string }> = {
  mv: { title: "Move", verb: "move", done: "moved", name: "MoveFiles" },
  cp: { title: "Copy", verb: "copy", done: "copied", name: "CopyFiles" },
  rm: { title: "Delete", verb: "delete", done: "deleted", name: "DeleteFiles" },
  compress: { title: "Compress", verb: "compress", done: "compressed", name: "CompressFiles" },
  extract: { title: "Extract", verb: "extract", done: "extracted", name: "CompressFiles" },
};

const TAR_FLAGS: Record<string, string> = { none: "", gzip: "-z", bzip2: "-j", xz: "-J" };

/** Job scripts are rendered as if they were HTML, and whoever has these characters in a name gets another one. */
const rendered = (path: string): string =>
  path
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&#34;")
    .replaceAll("'", "&#39;");

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export interface Composed {
  name: string;
  script: string;
  withoutShell: NonNullable<JobRequest["withoutShell"]>;
}

const date = '"$(date)"';

export function fileOperation(operation: FileOperation, directives: readonly string[], now: () => number): Composed {
  const { title, verb, done, name } = WORDS[operation.op];
  const script = [
    "#!/bin/bash",
    ...directives,
    `echo ${date} "${title} Files Job (id:$SLURM_JOB_ID)"`,
    `if ${commandOf(operation)}; then`,
    `  echo ${date} "Files were successfully ${done}."`,
    "else",
    `  echo ${date} "Unable to ${verb} files exit code:0 error:" >&2`,
    "fi",
    "",
  ].join("\n");
  return {
    name,
    script,
    async withoutShell(seat) {
      const stamp = new Date(now()).toUTCString();
      const begun = `${stamp} ${title} Files Job\n`;
      try {
        await perform(operation, seat);
        return { exitCode: 0, stdout: `${begun}${stamp} Files were successfully ${done}.\n` };
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        return {
          exitCode: 0,
          stdout: begun,
          stderr: `${error.stderr}\n${stamp} Unable to ${verb} files exit code:0 error:\n`,
        };
      }
    },
  };
}

function commandOf(operation: FileOperation): string {
  const path = quoted(rendered(operation.path));
  if (operation.op === "rm") return `rm -r -- ${path}`;
  const target = quoted(rendered(operation.targetPath));
  switch (operation.op) {
    case "mv":
      return `mv --force -- ${path} ${target}`;
    case "cp":
      return `cp --force ${operation.dereference ? "-L -R" : "-dR"} --preserve=all -- ${path} ${target}`;
    case "extract":
      return `tar ${TAR_FLAGS[operation.compression] ?? "-z"} -xf ${path} -C ${target}`;
    case "compress": {
      const [parent, base] = [quoted(rendered(parentOf(operation.path))), quoted(rendered(nameOf(operation.path)))];
      const links = operation.dereference ? "--dereference" : "";
      const flags = `${TAR_FLAGS[operation.compression] ?? "-z"} ${links}`;
      if (operation.matchPattern === undefined) return `tar ${flags} -cf ${target} -C ${parent} -- ${base}`;
      // The last segment of the path is not looked at: siblings are packed too.
      const found = `find . -type f -regex ${quoted(rendered(operation.matchPattern))} -print0`;
      return `(cd ${parent} && ${found} | tar ${flags} --null -T - -cf ${target})`;
    }
  }
}

async function perform(operation: FileOperation, { files }: Seat): Promise<void> {
  const path = rendered(operation.path);
  if (operation.op === "rm") return await files.remove(path);
  const target = rendered(operation.targetPath);
  switch (operation.op) {
    case "mv":
      return await files.move(path, target);
    case "cp":
      return await files.copy(path, target, { dereference: operation.dereference });
    case "extract":
      return await files.extract(path, target, { format: compressionOf(operation.compression) });
    case "compress":
      return await pack(files, path, target, { ...operation, compression: compressionOf(operation.compression) });
  }
}

/**
 * With a pattern everything below the *parent* of the path is looked through, siblings too; a trailing slash confines it.
 * Hosts know globs, so only the common part of regular expressions is understood here.
 */
export async function pack(
  files: Files,
  path: string,
  target: string,
  how: { dereference: boolean; compression: Compression; matchPattern: string | undefined },
): Promise<void> {
  const { dereference, compression, matchPattern } = how;
  if (matchPattern === undefined) return await files.compress(path, target, { dereference, compression });
  const glob = matchPattern.replaceAll(".*", "*").replaceAll("\\.", ".");
  await files.compress(parentOf(path), target, { dereference, compression, matchPattern: glob });
}

const compressionOf = (word: string): Compression =>
  word === "none" || word === "bzip2" || word === "xz" ? word : "gzip";
const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** `mover` is the command that does the work; `around` does it where there is no shell to run it. */
export function transferJob(
  work: Egress | Ingress,
  directives: readonly string[],
  mover: readonly string[],
  around: (seat: Seat) => Surroundings,
): Composed {
  const isEgress = work.kind === "egress";
  const title = isEgress ? "Upload File Job" : "Ingress File Transfer Job";
  const script = [
    "#!/bin/bash",
    ...directives,
    `echo ${date} "${title} (id:$SLURM_JOB_ID)"`,
    `exec ${mover.map(quoted).join(" ")} <<'END_OF_WORK'`,
    JSON.stringify(work),
    "END_OF_WORK",
    "",
  ].join("\n");
  return {
    name: isEgress ? "OutgressFileTransfer" : "IngressFileTransfer",
    script,
    async withoutShell(seat) {
      const said = { stdout: `${title}\n`, stderr: "" };
      const exitCode = await moveBytes(work, {
        ...around(seat),
        print: (line) => {
          said.stdout += `${line}\n`;
        },
        warn: (line) => {
          said.stderr += `${line}\n`;
        },
      });
      return { exitCode, ...said };
    },
  };
}
