/**
 * The end of a job's output as it may be shown where others read along: in a chat, in a mail. Programs print what they were
 * given, so everything that looks like a secret is masked; control sequences go first, for a secret could hide behind them.
 * A person who reads the output of a job by the API gets it as it is.
 */
import { redactText } from "./log.ts";

const MASK = "[redacted]";
/** What is looked at, from the end. */
const MAX_CHARACTERS = 60_000;

const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g;
/** Control characters but tab and line feed, and those that turn, join or hide text. */
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]/g;

/** Secrets as programs print them, beyond what `redactText` knows. Each pattern is linear in the text. */
const PRINTED: readonly (readonly [RegExp, string])[] = [
  // NAME=value of an environment, a settings file, a command line: by the name.
  [
    /([A-Za-z0-9_.-]{0,64}(?:passw(?:or)?d|passphrase|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|_pwd|_pat)[A-Za-z0-9_.-]{0,64}["']?[ \t]{0,8}(?:=>|[:=])[ \t]{0,8})("[^"\n]*"?|'[^'\n]*'?|[^\s"',;}]+)/gi,
    `$1${MASK}`,
  ],
  [/(--?(?:password|passwd|pass|token|secret|api-key|key)[ \t]+)[^\s-]\S*/gi, `$1${MASK}`],
  // A netrc file, curl's user, the header of a proxy.
  [/(\b(?:login|user)[ \t]+\S{1,128}[ \t]+password[ \t]+)\S+/gi, `$1${MASK}`],
  [/((?:^|\s)(?:-u|--user)[ \t]+[^\s:]{1,128}:)\S+/g, `$1${MASK}`],
  // Keys that are known by how they begin.
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, MASK],
  [/\bAIza[A-Za-z0-9_-]{20,}/g, MASK],
  [/\b(?:sk|pk|rk)[-_](?:live|test|ant|proj|or)[-_][A-Za-z0-9_-]{8,}/g, MASK],
  [/\bsk-[A-Za-z0-9_-]{16,}/g, MASK],
  [/\b(?:hf|npm|dop_v1|pypi|nvapi|r8|tskey)[-_][A-Za-z0-9_-]{16,}/g, MASK],
  [/\$(?:2[aby]|5|6|y)\$[./A-Za-z0-9$]{20,}/g, MASK],
];

/** The end of a private key whose beginning was cut off. */
const KEY_END = /-----END [A-Z ]{0,40}PRIVATE KEY-----/;

/** At most so many last lines, safe to show. */
export function shownTail(output: string, lines: number): string {
  // What is cut at the front could be half a secret: the first line that is whole begins after it.
  const cut = output.length > MAX_CHARACTERS ? output.slice(-MAX_CHARACTERS).replace(/^[^\n]*\n?/, "") : output;
  const plain = cut
    .toWellFormed()
    .replace(ESCAPES, "")
    .replace(/\r\n/g, "\n")
    // A progress bar writes over itself: what is left to see is its last state.
    .replace(/[^\n]*\r(?=[^\n])/g, "")
    .replace(INVISIBLE, "");
  const end = plain.search(KEY_END);
  const begin = plain.indexOf("-----BEGIN ");
  const whole = end >= 0 && (begin < 0 || begin > end) ? `${MASK}${plain.slice(end).replace(KEY_END, "")}` : plain;
  const masked = PRINTED.reduce((rest, [look, left]) => rest.replace(look, left), redactText(whole));
  return masked
    .split("\n")
    .slice(-lines - (masked.endsWith("\n") ? 1 : 0))
    .join("\n");
}

/** Clocks of a site's machines and ours differ by less. */
const CLOCKS_DIFFER_MS = 30_000;

/** Whether a file was written by the run that began then, and not by an earlier job that wrote to the same path. */
export const isOfRun = (mtimeSeconds: number, startedAt: number): boolean =>
  (mtimeSeconds + 1) * 1000 > startedAt - CLOCKS_DIFFER_MS;
