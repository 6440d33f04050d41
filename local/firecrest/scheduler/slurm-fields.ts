/** How Slurm writes states, moments, durations and names, in all of its commands. */
import type { JobState } from "../host.ts";

/** `CANCELLED by 1001` → its two parts. */
export function stateOf(text: string): { state: JobState; cancelledBy?: number } {
  const [state = "", uid] = text.split(" by ");
  return { state: state as JobState, ...(uid === undefined ? {} : { cancelledBy: Number(uid) }) };
}

export const isEnd = (state: string): boolean =>
  !/^(?:PENDING|RUNNING|SUSPENDED|COMPLETING|CONFIGURING|STOPPED|RESIZING|SIGNALING|STAGE_OUT|REQUEUE.*)$/.test(state);

/** Milliseconds, of seconds since the epoch; `Unknown`, `None` and `N/A` are no moments. */
export const moment = (text: string): number | undefined => (/^\d+$/.test(text) ? Number(text) * 1000 : undefined);

/** `1-02:03:04`, `4:14`; `undefined` for `UNLIMITED` and the like. */
export function seconds(text: string): number | undefined {
  const [, days = "0", clock = ""] = /^(?:(\d+)-)?([\d:]+)$/.exec(text) ?? [];
  if (clock === "") return undefined;
  return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * 86_400;
}

/** `3:0` → exit code and signal. */
export function exitOf(text: string): [number, number] {
  const [code = "0", signal = "0"] = text.split(":");
  return [Number(code) || 0, Number(signal) || 0];
}

/** `fw-alice(1001)` */
export function idOf(text: string): { name: string; id: number } {
  const [, name = text, id = "0"] = /^(.*)\((\d+)\)$/.exec(text) ?? [];
  return { name, id: Number(id) };
}

export const told = (text: string): string => (text === "(null)" || text === "N/A" ? "" : text);
export const list = (text: string | undefined, separator: string): string[] =>
  told(text ?? "")
    .split(separator)
    .filter((item) => item !== "");
