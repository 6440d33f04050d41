/**
 * The lines of ours that run inside a job, in sh, dash and bash. Values and paths come from outside, so they go in as
 * base64 and are never script text.
 */
import { type ManifestRequest, manifestFunction } from "./manifest.ts";
import { assignment } from "./shell.ts";

/** One line for each variable: exactly its bytes, exported. A system without `base64` fails with 78 (configuration). */
export function environmentLines(env: Record<string, string>): string[] {
  return Object.entries(env).map(
    ([name, value]) => `${assignment(name, value)} || exit 78; ${name}="\${${name}%x}"; export ${name}`,
  );
}

export interface ExitWork {
  /** POSTed to when the script starts and ends; a capability, so it stays out of the process list. */
  ping?: string;
  manifest?: ManifestRequest;
}

/**
 * A trap on EXIT that keeps the exit status, and traps on HUP, INT and TERM that exit 128+n so that it runs then too.
 * Best effort: the script's own trap, an `exec` or KILL removes it.
 */
export function exitTrapLines(work: ExitWork): string[] {
  if (work.ping === undefined && work.manifest === undefined) return [];
  return [
    ...(work.manifest === undefined ? [] : ["_fw_dir=$PWD", ...manifestFunction(work.manifest)]),
    ...(work.ping === undefined ? [] : pingFunction(work.ping)),
    "_fw_exit() {",
    "  _fw_status=$?",
    "  set +ex",
    "  trap - EXIT HUP INT TERM",
    ...(work.manifest === undefined ? [] : ["  _fw_manifest </dev/null >/dev/null 2>&1"]),
    ...(work.ping === undefined ? [] : ["  _fw_ping >/dev/null 2>&1"]),
    '  exit "$_fw_status"',
    "}",
    "trap _fw_exit EXIT",
    "trap 'exit 129' HUP",
    "trap 'exit 130' INT",
    "trap 'exit 143' TERM",
    // At the start too, beside the script: nothing waits for it.
    ...(work.ping === undefined ? [] : ["(_fw_ping >/dev/null 2>&1 &)"]),
  ];
}

/** Whether a ping URL can stand between single quotes and in a curl configuration line. */
export const isPingUrl = (url: string): boolean =>
  /^https?:\/\/[A-Za-z0-9._~:/?=&%@+,[\]-]+$/.test(url) && url.length <= 2_048;

function pingFunction(url: string): string[] {
  return [
    "_fw_ping() {",
    "  if command -v curl; then",
    `    printf 'url = "%s"\\n' '${url}' | curl -fsS -m 5 -X POST -o /dev/null -K -`,
    "  else",
    `    printf '%s\\n' '${url}' | wget -q -T 5 -t 1 -O /dev/null --post-data= -i -`,
    "  fi",
    "}",
  ];
}
