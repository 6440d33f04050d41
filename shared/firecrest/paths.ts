/**
 * Which paths may be given to which operation. FirecREST pastes paths into shell commands: some within single quotes
 * (*quoted*), some without (*bare*). What is refused here never reaches a site.
 */
import { utf8Bytes } from "../contract/words.ts";
import type { Api } from "./port.ts";

type PathClass = "quoted" | "bare";

/** Every place where a path or pattern enters a site's command. */
export type PathOperation =
  | "ls"
  | "stat"
  | "head"
  | "tail"
  | "view"
  | "checksum"
  | "file_type"
  | "mkdir"
  | "symlink"
  | "chmod"
  | "chown"
  | "remove"
  | "download"
  | "upload"
  | "move"
  | "copy"
  | "compress"
  | "extract"
  | "submit_path"
  | "working_directory"
  | "match_pattern"
  | "stage"
  | "stage_upload"
  | "file_job";

/** Synchronous operations run as one quoted command on both APIs; whatever is written into a batch script is bare. */
const OPERATIONS: Record<PathOperation, PathClass> = {
  ls: "quoted",
  stat: "quoted",
  head: "quoted",
  tail: "quoted",
  view: "quoted",
  checksum: "quoted",
  file_type: "quoted",
  mkdir: "quoted",
  symlink: "quoted",
  chmod: "quoted",
  chown: "quoted",
  remove: "quoted",
  download: "quoted",
  upload: "quoted",
  move: "quoted",
  copy: "quoted",
  compress: "quoted",
  extract: "quoted",
  submit_path: "bare",
  working_directory: "bare",
  match_pattern: "bare",
  stage: "bare",
  stage_upload: "bare",
  file_job: "bare",
};

/** v2 runs these as scheduler jobs. */
const V2_JOBS: Partial<Record<PathOperation, PathClass>> = { move: "bare", copy: "bare" };

const CLASSES: Record<Api, Record<PathOperation, PathClass>> = {
  v1: OPERATIONS,
  v2: { ...OPERATIONS, ...V2_JOBS },
};

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/u;
const LONE_SURROGATE = /[\ud800-\udfff]/u;
/** v1 refuses these in every parameter, before anything is run. */
const V1_FORBIDDEN = /[<>|;"'&\\()`]/u;
const V2_FORBIDDEN = /'/u;
const NOT_BARE = /[^A-Za-z0-9_@%+=:,./^-]/u;

const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;

/** Undefined when the path may be given to the operation, else what is wrong with it, for a person. */
export function checkPath(api: Api, operation: PathOperation, path: string): string | undefined {
  if (operation !== "match_pattern" && !path.startsWith("/")) return "must be absolute";
  return checkText(api, CLASSES[api][operation], path) ?? checkSegments(path);
}

/** A file name given beside a path (multipart uploads): one segment, quoted on both APIs. */
export function checkFileName(api: Api, name: string): string | undefined {
  if (name === "" || name === ".") return "must be a file name";
  if (name.includes("/")) return 'must not contain "/"';
  return checkText(api, "quoted", name) ?? checkSegments(name);
}

/** What chmod takes: octal, or symbolic without anything that a shell would read. */
export function checkMode(mode: string): string | undefined {
  return /^([0-7]{3,4}|[ugoa]{0,4}[+=-][rwxXst]{1,6}(,[ugoa]{0,4}[+=-][rwxXst]{1,6}){0,3})$/.test(mode)
    ? undefined
    : "must be an octal mode such as 640, or a symbolic one such as g+rX";
}

/** What chown takes for a user or group: a name or a number. */
export function checkOwner(owner: string): string | undefined {
  return /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$/.test(owner)
    ? undefined
    : "must be a user or group: letters, digits and _ . @ -, not starting with a dash";
}

/**
 * Whether a path can be read by quoted operations but not be staged as it is: then it is staged through a link beside
 * it, see `linkBeside`.
 */
export function needsSymlink(api: Api, path: string): boolean {
  return checkPath(api, "symlink", path) === undefined && checkPath(api, "stage", path) !== undefined;
}

/**
 * The link through which an awkwardly named file is staged: beside it, or where its directory is awkward too, in the nearest
 * one above whose own path is plain.
 */
export function linkBeside(path: string, id: string): string {
  const directories = path.split("/").slice(0, -1);
  const awkward = directories.findIndex((segment) => NOT_BARE.test(segment));
  return `${(awkward === -1 ? directories : directories.slice(0, awkward)).join("/")}/.fw-${id}`;
}

export type Resolved = { ok: true; path: string } | { ok: false; message: string };

/**
 * The absolute path meant by `path`, relative ones below `workingDirectory`. Empty and `.` segments and a trailing slash
 * go; `..` is refused, never resolved: with links in between it need not mean what it says.
 */
export function resolvePath(workingDirectory: string | undefined, path: string): Resolved {
  if (path === "") return { ok: false, message: "must not be empty" };
  if (!path.startsWith("/") && workingDirectory === undefined) {
    return { ok: false, message: "is relative, and there is no working directory to resolve it against" };
  }
  const whole = path.startsWith("/") ? path : `${workingDirectory}/${path}`;
  const segments = whole.split("/").filter((segment) => segment !== "" && segment !== ".");
  const resolved = `/${segments.join("/")}`;
  const problem = checkSegments(resolved);
  return problem === undefined ? { ok: true, path: resolved } : { ok: false, message: problem };
}

/** Whether a site's file systems can hold this path at all. */
function checkSegments(path: string): string | undefined {
  if (utf8Bytes(path) > MAX_PATH_BYTES) return `must be at most ${MAX_PATH_BYTES} bytes`;
  for (const segment of path.split("/")) {
    if (segment === "..") return 'must not contain ".."';
    if (segment.startsWith("-")) return `must not have a segment that starts with a dash ("${clip(segment)}")`;
    if (utf8Bytes(segment) > MAX_NAME_BYTES) return `must not have a segment of more than ${MAX_NAME_BYTES} bytes`;
  }
  return undefined;
}

function checkText(api: Api, pathClass: PathClass, text: string): string | undefined {
  if (text === "") return "must not be empty";
  const refused = [
    CONTROL,
    LONE_SURROGATE,
    pathClass === "bare" ? NOT_BARE : api === "v1" ? V1_FORBIDDEN : V2_FORBIDDEN,
  ];
  for (const pattern of refused) {
    const match = pattern.exec(text);
    if (match !== null) {
      const position = [...text.slice(0, match.index)].length + 1;
      return `must not contain ${nameOf(match[0])} (character ${position})`;
    }
  }
  return undefined;
}

function nameOf(character: string): string {
  if (character === " ") return "a space";
  if (/^[!-~]$/.test(character)) return character === '"' ? "a double quote" : `"${character}"`;
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  const visible = !CONTROL.test(character) && !LONE_SURROGATE.test(character);
  return visible ? `"${character}" (U+${code})` : `U+${code}`;
}

const clip = (segment: string): string => (segment.length > 20 ? `${segment.slice(0, 20)}…` : segment);
