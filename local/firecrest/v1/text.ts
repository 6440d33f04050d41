/** Output of commands as the JSON answers need it. */
import { escapeName } from "../files/escape-name.ts";
import { type FileEntry, ToolError } from "../host.ts";
import { localTime } from "./rows.ts";

export function listEntry(entry: FileEntry, isNumeric: boolean): Record<string, string> {
  return {
    name: escapeName(entry.name),
    type: entry.kind,
    link_target: escapeName(entry.linkTarget),
    user: isNumeric ? String(entry.user.id) : entry.user.name,
    group: isNumeric ? String(entry.group.id) : entry.group.name,
    permissions: entry.permissions,
    last_modified: localTime(entry.modifiedAt),
    size: String(entry.size),
  };
}

/** Pages of `ls` count from 1, need both numbers, and a page beyond the end is everything. */
export function page<T>(items: T[], sizeText: string | undefined, numberText: string | undefined): T[] {
  const [size, number] = [Number(sizeText), Number(numberText)];
  if (!Number.isInteger(size) || !Number.isInteger(number) || size < 1 || number < 1) return items;
  const chosen = items.slice((number - 1) * size, number * size);
  return chosen.length === 0 ? items : chosen;
}

/** Text, or the complaint of the server's decoder. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const at = firstBadByte(bytes);
    const byte = (bytes[at] ?? 0).toString(16).padStart(2, "0");
    throw new ToolError("python", 1, `'utf-8' codec can't decode byte 0x${byte} in position ${at}: invalid start byte`);
  }
}

function firstBadByte(bytes: Uint8Array): number {
  let [good, bad] = [0, bytes.byteLength];
  const isFine = (end: number) => {
    try {
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  if (isFine(bad)) return Math.max(0, bad - 1);
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isFine(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

/** `Content-Disposition` of a download. */
export function disposition(name: string): string {
  if (/^[A-Za-z0-9_.-]+$/.test(name)) return `attachment; filename=${name}`;
  if (/^[\x20-\x7e]*$/.test(name)) return `attachment; filename="${name}"`;
  const ascii = name.normalize("NFKD").replace(/[^\x20-\x7e]/g, "");
  return `attachment; filename=${ascii}; filename*=UTF-8''${encodeURIComponent(name)}`;
}
